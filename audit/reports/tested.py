"""Every control test over the whole log, run by a worker and written down: each day, and when a reader asks.

So that there is something to compare with: what is new since, what was mended, which definition was used from when on.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from audit import calls
from audit.alone import alone
from audit.clock import database_time
from audit.controls import program
from audit.controls.evaluate import Report, Scope, Tested, read, report
from audit.ledger import checkpoint
from audit.ledger.entry import Actor, system
from audit.ledger.record import record
from audit.models import Checkpoint, ControlTest
from audit.reports.controls import asked_checkpoint

TASK = "audit.test_controls"
call = partial(calls.send, TASK)
LOCK = 0x54657374  # advisory lock of whoever runs them
SCHEDULE = system("system:schedule")
DAILY = timedelta(days=1)
OVERDUE = timedelta(days=2)  # from then on it counts as a problem that nothing was tested
SILENT = timedelta(minutes=10)  # the worker that had it is gone
KEPT = 1000  # items of a control test that are kept by name; of more, only how many


@dataclass(frozen=True)
class Since:
    """How a control test's items differ from the last time it was run."""

    new: int
    fixed: int


@dataclass(frozen=True)
class Used:
    """One time that a control test was run: by which definition and program, and what came out."""

    at: datetime
    version: int
    definition: str
    program: str
    result: str
    counts: dict[str, int]
    index: int | None  # of the entry; None until it has its place


def ask(*, by: Actor) -> ControlTest:
    """Have all of them run now; whoever asks meanwhile is given the one that is under way."""
    signed = asked_checkpoint("")
    with transaction.atomic():
        if (found := under_way()) is not None:
            return found
        made = ControlTest.objects.create(
            checkpoint_size=signed.size,
            actor=by.id,
            actor_kind=by.kind,
            actor_auth=by.auth,
            seen_at=database_time(),
        )
        transaction.on_commit(partial(call, made.pk), robust=True)
    return made


def daily() -> None:
    """Beat's: once a day, as soon as there is something sealed."""
    if not ControlTest.objects.filter(asked_at__gt=Now() - DAILY).exists() and checkpoint.latest():
        ask(by=SCHEDULE)


def under_way() -> ControlTest | None:
    return _unfinished().filter(seen_at__gt=Now() - SILENT).first()


def newest() -> ControlTest | None:
    """The last that came to its end."""
    return ControlTest.objects.exclude(tested_at=None).order_by("-tested_at").first()


def overdue(last: ControlTest | None) -> str:
    """Why what was tested last is too old to rely on, as a sentence; empty where it is not."""
    failed = ControlTest.objects.first()
    if failed is not None and failed.tested_at is None and failed != under_way():
        return failed.problem or "A worker ended over the last test, so it was not finished."
    if last is not None and last.tested_at and database_time() - last.tested_at > OVERDUE:
        return "Nothing was tested for two days. Do a worker and beat run?"
    return ""


def since(tested: Tested, last: ControlTest | None) -> Since | None:
    """What did not pass then and does now, and the other way round; None where it was not run yet."""
    before = last.found.get(tested.control.id) if last else None
    if last is None or before is None:
        return None
    names = last.bad.get(tested.control.id)
    if names is None:
        more = tested.bad.total() - before["counts"]["fail"] - before["counts"]["indeterminate"]
        return Since(max(0, more), max(0, -more))
    then = Counter(names)
    return Since((tested.bad - then).total(), (then - tested.bad).total())


def history(control: str) -> list[Used]:
    """Each time that it was run, the newest first."""
    rows = ControlTest.objects.exclude(tested_at=None).filter(found__has_key=control).order_by("-tested_at")
    return [
        Used(
            at,
            found["version"],
            found["definition"],
            found["program"],
            found["result"],
            found["counts"],
            index,
        )
        for at, found, index in rows.values_list("tested_at", f"found__{control}", "entry__leaf__index")
    ]


def sweep() -> list[UUID]:
    """What waits for a worker: its call was lost, or another was being run."""
    return list(_unfinished().filter(seen_at__gt=Now() - SILENT, done=0).values_list("pk", flat=True))


def work(key: UUID) -> None:
    """Run them. Nothing where they are being run, or where this one has ended."""
    with alone(LOCK) as mine:
        found = _unfinished().filter(pk=key).first() if mine else None
        if found is None:
            return
        try:
            _finish(found, _run(found))
        except Exception:
            words = "The test stopped over a fault, which is in the workers' logs."
            ControlTest.objects.filter(pk=found.pk).update(problem=words, seen_at=Now())
            raise


def _unfinished() -> QuerySet[ControlTest]:
    return ControlTest.objects.filter(tested_at=None, problem="")


def _run(found: ControlTest) -> Report:
    """From the sealed bytes, read anew."""
    mine = ControlTest.objects.filter(pk=found.pk)
    signed = Checkpoint.objects.get(size=found.checkpoint_size)
    facts = read(signed, lambda done: mine.update(done=done, seen_at=Now()))
    return report(facts, signed, Scope())


def _finish(found: ControlTest, made: Report) -> None:
    """The row and its entry in one transaction."""
    told = [one.summary() for one in made.tested]
    by = Actor(found.actor, found.actor_kind, found.actor_auth)  # type: ignore[arg-type]  # as it was asked
    with transaction.atomic():
        entry = record(
            "controls.tested", of=None, subject="ledger", actor=by, size=made.checkpoint.size,
            root=bytes(made.checkpoint.root).hex(), report=made.digest, program=program.digest(), controls=told,
        )  # fmt: skip
        ControlTest.objects.filter(pk=found.pk).update(
            tested_at=Now(), seen_at=Now(), done=made.checkpoint.size, entry=entry,
            found={one["id"]: _kept(one) for one in told},
            bad={one.control.id: one.bad for one in made.tested if len(one.bad) <= KEPT},
        )  # fmt: skip


def _kept(told: dict[str, Any]) -> dict[str, Any]:
    kept = {name: told[name] for name in ("version", "definition", "result", "counts")}
    return {**kept, "program": program.digest()}
