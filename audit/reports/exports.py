"""Exports: asked for by a reader of the log, made by a worker, kept in the database for some days.

One is made at a time, so that exports never take more than one worker from the runs. A worker that is killed, slow or
late finishes nothing twice: each turn has its number. Only whoever asked may have the file, as long as they may read
the log; what no person asked for is there for every reader.
"""

import hashlib
from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from audit import calls
from audit.access import may_read
from audit.alone import alone
from audit.clock import database_time
from audit.ledger import checkpoint, stamped
from audit.ledger.entry import Actor
from audit.ledger.record import record, timestamp
from audit.models import Checkpoint, Export, ExportPart
from audit.progress import Tell
from audit.refusals import Invalid, MoveNotAllowed, NotAllowed, NotFound, Refusal, TooMany
from audit.reports import attestation, bundle, material, oscal, packed, paper, sampled
from audit.reports.controls import asked_checkpoint, scope
from audit.reports.left import left
from audit.reports.material import Made, Material

TASK = "audit.export"
call = partial(calls.send, TASK)
LOCK = 0x4578706F7274  # advisory lock of whoever makes one
ASKED = ("from", "to", "environment", "framework", "sample")
UNDONE = "Nothing was exported"
SILENT = timedelta(seconds=90)  # whoever had it is gone
LOST = 3  # workers; one that takes more of them with it is not tried again
AN_HOUR, MOST_AN_HOUR = timedelta(hours=1), 20  # of one account
MOST_BYTES = 512 << 20  # of a file that is kept in the database
PART = 1 << 20
UNDER_WAY = (Export.State.QUEUED, Export.State.RUNNING)
MAKERS = {
    Export.Format.CSV: packed.make,
    Export.Format.XLSX: packed.make_workbook,
    Export.Format.PDF: paper.make,
    Export.Format.OSCAL: oscal.make,
    Export.Format.DSSE: attestation.make,
}


class ExportUnderWay(Refusal):
    """One at a time for each account."""

    code = "export_under_way"


class FileGone(Refusal):
    """The time for which the file was kept is over."""

    code = "file_gone"
    status = 410


class _Taken(Exception):
    """Another worker has it by now, or it was cancelled."""


def ask(form: Mapping[str, str], *, by: Actor) -> Export:
    """Ask for one; Invalid when what is asked cannot be read, and nothing is made."""
    kind = form.get("format", "")
    if kind not in MAKERS and kind != Export.Format.BUNDLE:
        words = f"format is one of {', '.join(Export.Format.values)}."
        raise Invalid(f"{UNDONE}: {words}", errors=[{"pointer": "/format", "detail": words}])
    asked = read(form)
    signed = _under(kind, str(form.get("checkpoint") or ""))
    if asked["sample"]:
        sampled.check(kind, asked, signed, undone=UNDONE)
    with transaction.atomic():
        _check_rate(by)
        made = Export.objects.create(
            format=kind, asked=asked, checkpoint_size=signed.size, actor=by.id, actor_kind=by.kind,
            actor_auth=by.auth, seen_at=database_time(),
        )  # fmt: skip
        transaction.on_commit(partial(call, made.pk), robust=True)
    return made


def read(form: Mapping[str, str]) -> dict[str, str]:
    """What is asked about, as it is kept; Invalid when it cannot be read."""
    asked = {name: str(form.get(name) or "") for name in ASKED}
    scope(asked, undone=UNDONE, under=checkpoint.latest())
    return asked


def _under(kind: str, size: str) -> Checkpoint:
    """The checkpoint that was named, or the newest; an authority sees that one before a bundle of it leaves."""
    seen = stamped.leaving() if kind == Export.Format.BUNDLE and not size else None
    return seen or asked_checkpoint(size, undone=UNDONE)


def _check_rate(by: Actor) -> None:
    if by.kind == "system":
        return
    mine = Export.objects.filter(actor=by.id)
    if mine.filter(state__in=UNDER_WAY).exists():
        raise ExportUnderWay("One of your exports is under way, so this was not started. Wait for it.")
    if mine.filter(created_at__gt=Now() - AN_HOUR).count() >= MOST_AN_HOUR:
        words = f"{UNDONE}: you asked for {MOST_AN_HOUR} within an hour. Try again later."
        raise TooMany(words, retry_after=600)


def visible(user: Any) -> QuerySet[Export]:
    """One's own, and what no person asked for; an admin sees all; nothing for whoever may not read the log."""
    if not may_read(user):
        return Export.objects.none()
    if user.is_superuser:
        return Export.objects.all()
    return Export.objects.filter(Q(actor=str(user.pk)) | Q(actor_kind="system"))


def may_cancel(found: Export, user: Any) -> bool:
    """Whoever asked for it may, and an admin."""
    return found.under_way and bool(user.is_superuser or found.actor == str(user.pk))


def cancel(found: Export, *, user: Any, by: Actor) -> Export:
    """End it before it is made: its worker stops, and nothing of it is kept. MoveNotAllowed once it has ended."""
    if not (user.is_superuser or found.actor == by.id):
        raise NotAllowed("Nothing was cancelled: only whoever asked for this export, or an admin, may.")
    with transaction.atomic():
        words = "Cancelled by whoever asked." if found.actor == by.id else "Cancelled by an admin."
        if not _end(Export.objects.filter(pk=found.pk, state__in=UNDER_WAY), Export.State.CANCELLED, words):
            raise MoveNotAllowed("Nothing was cancelled: this export has ended already.")
        record(
            "export.cancelled", of=None, subject="ledger", actor=by, export=str(found.pk), what=found.format,
            asked_by=found.actor,
        )  # fmt: skip
    found.refresh_from_db()
    return found


def get(key: UUID, *, user: Any) -> Export:
    found = visible(user).filter(pk=key).first()
    if found is None:
        raise NotFound("There is no such export, or it is not yours.")
    return found


def hand_out(found: Export, *, by: Actor) -> Iterator[bytes]:
    """The file in pieces. That it was taken is an entry; FileGone or MoveNotAllowed where there is none."""
    if found.actor_kind != "system" and found.actor != by.id:
        raise NotAllowed("Only whoever asked for this export may have its file; nothing was taken.")
    if found.state == Export.State.REMOVED:
        raise FileGone("This file was removed when its time was over. Ask for a new one.")
    if found.state != Export.State.DONE:
        raise MoveNotAllowed("This export has no file. Wait until it is made, or ask for a new one.")
    with transaction.atomic():
        record("export.taken", of=None, subject="ledger", actor=by, export=str(found.pk), digest=found.digest)
    numbers = found.parts.order_by("number").values_list("number", flat=True)
    return (bytes(found.parts.get(number=number).data) for number in list(numbers))


def work(key: UUID) -> None:
    """Make it. Nothing where another is being made, where another worker has it, or where it has ended."""
    with alone(LOCK) as mine:
        taken = _take(key) if mine else None
        if taken is None:
            return
        try:
            _finish(taken, _make(taken))
        except _Taken:
            return
        except Refusal as refused:
            _end(_turn(taken), Export.State.FAILED, str(refused))


def sweep() -> list[UUID]:
    """What waits for a worker, or lost one; files whose time is over go."""
    _forget()
    quiet = Export.objects.filter(state=Export.State.RUNNING, seen_at__lt=Now() - SILENT)
    gone = f"{LOST} workers ended over it, so it was not made. Ask an admin to look at the workers' logs."
    _end(quiet.filter(lost__gte=LOST - 1), Export.State.FAILED, gone)
    waits = Export.objects.filter(state=Export.State.QUEUED)
    return list((waits | quiet).order_by("created_at").values_list("pk", flat=True))


def _forget() -> None:
    """The bytes of what is old; that it was made stays in the ledger, and how it ended at its row."""
    if not settings.EXPORT_DAYS:
        return
    old = Export.objects.filter(
        state=Export.State.DONE, ended_at__lt=Now() - timedelta(days=settings.EXPORT_DAYS)
    )
    with transaction.atomic():
        for one in old.select_for_update(skip_locked=True):
            one.parts.all().delete()
            Export.objects.filter(pk=one.pk).update(state=Export.State.REMOVED)


def _take(key: UUID) -> Export | None:
    found = Export.objects.filter(pk=key)
    moved = {"state": Export.State.RUNNING, "turn": F("turn") + 1, "seen_at": Now(), "done": 0}
    if not found.filter(state=Export.State.QUEUED).update(**moved):
        silent = found.filter(state=Export.State.RUNNING, seen_at__lt=Now() - SILENT, lost__lt=LOST - 1)
        if not silent.update(**moved, lost=F("lost") + 1):
            return None
    return Export.objects.get(pk=key)


def _make(mine: Export) -> Made:
    signed = Checkpoint.objects.get(size=mine.checkpoint_size)
    if mine.format == Export.Format.BUNDLE:
        return _bundled(signed, mine)
    return MAKERS[Export.Format(mine.format)](_material(signed, mine))


def _material(signed: Checkpoint, mine: Export) -> Material:
    return material.gather(
        signed, scope(mine.asked, undone=UNDONE), framework=mine.asked["framework"], by=mine.actor,
        made_at=timestamp(mine.created_at), tell=_teller(mine),
    )  # fmt: skip


def _bundled(signed: Checkpoint, mine: Export) -> Made:
    made = bundle.make(signed, mine.asked, tell=_teller(mine))
    return Made(made.file, made.name, "application/zip", made.about["end"] - made.about["first"])


def _teller(mine: Export) -> Tell:
    """Writes how far it is; stops the work once it is another's."""

    def tell(done: int) -> None:
        if not _turn(mine).update(done=done, seen_at=Now()):
            raise _Taken

    return tell


def _finish(mine: Export, made: Made) -> None:
    """The file, its end and its entry in one transaction."""
    with made.file as file, transaction.atomic():
        ended = _turn(mine).update(
            state=Export.State.DONE, ended_at=Now(), seen_at=Now(), done=mine.checkpoint_size
        )
        if not ended:
            raise _Taken
        digest, size = _store(mine, file)
        Export.objects.filter(pk=mine.pk).update(
            name=made.name, content_type=made.content_type, rows=made.rows, size=size, digest=digest
        )
        by = Actor(mine.actor, mine.actor_kind, mine.actor_auth)  # type: ignore[arg-type]  # as it was asked
        left(
            mine.format, query=_query(mine), rows=made.rows, digest=digest, by=by, export=str(mine.pk),
            size=mine.checkpoint_size, bytes=size, **made.told,
        )  # fmt: skip


def _store(mine: Export, file: Any) -> tuple[str, int]:
    file.seek(0)
    seen, size, number = hashlib.sha256(), 0, 0
    while piece := file.read(PART):
        size += len(piece)
        if size > MOST_BYTES:
            raise Invalid(
                f"{UNDONE}: the file would be larger than {MOST_BYTES >> 20} MiB. Choose a shorter period; the whole"
                " log is taken with manage.py ledger export."
            )
        seen.update(piece)
        ExportPart.objects.create(export=mine, number=number, data=piece)
        number += 1
    return f"sha256:{seen.hexdigest()}", size


def _query(mine: Export) -> str:
    return " ".join(f"{name}:{value}" for name, value in mine.asked.items() if value)


def _end(found: QuerySet[Export], state: Export.State, problem: str) -> int:
    return found.update(state=state, problem=problem, ended_at=Now(), seen_at=Now())


def _turn(mine: Export) -> QuerySet[Export]:
    return Export.objects.filter(pk=mine.pk, state=Export.State.RUNNING, turn=mine.turn)
