"""Where logs are kept and for how long: moves those that have ended to the storage of logs, removes those whose time
is over. Only what is known to lie there leaves the database; whatever fails is tried again.
"""

import logging
import os
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, Storage
from django.db import connection, transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Now

from audit.alone import alone
from audit.ledger.entry import system
from audit.ledger.record import record
from orchestration import lifecycle
from orchestration.logs import bodies
from orchestration.models import LogChunk, Run, StepAttempt

LOCK = 0x4C6F6773  # advisory lock of whoever moves and removes
BATCH = 50  # attempts, or runs, of a round
ROUND_SECONDS = 20.0
SETTLED = timedelta(seconds=10)  # after its end an attempt's log is moved
PART_BYTES = 1 << 20  # of one object: what a window of lines has to fetch
TOLD = 200  # logs of one entry
KEEPER = system("system:reconciler")

log = logging.getLogger(__name__)


def keep() -> dict[str, int]:
    """One round; empty when another process is at it."""
    with alone(LOCK) as mine:
        if not mine:
            return {}
        until = time.monotonic() + ROUND_SECONDS
        return {"logs_removed": _each(overdue(), remove, until), "logs_moved": _each(movable(), move, until)}


def overdue() -> QuerySet[Run]:
    """Runs that ended so long ago that their logs go."""
    if not settings.LOG_DAYS:
        return Run.objects.none()
    left = StepAttempt.objects.filter(step__run=OuterRef("pk"), log_removed_at=None, last_seq__gt=0)
    past = Run.objects.filter(ended_at__lt=Now() - timedelta(days=settings.LOG_DAYS))
    return past.filter(Exists(left), state__in=lifecycle.RUN_ENDS).order_by("ended_at")


def remove(run: Run) -> None:
    """The bodies of all its logs. What they were stays: counts and roots, in an entry and at each attempt."""
    left = StepAttempt.objects.filter(step__run=run, log_removed_at=None, last_seq__gt=0)
    for attempt in left.exclude(log_moved_at=None):
        _take_away(attempt)
    with transaction.atomic():
        attempts = list(left.select_for_update().select_related("step").order_by("step__position", "number"))
        LogChunk.objects.filter(attempt__in=attempts).delete()
        StepAttempt.objects.filter(pk__in=[one.pk for one in attempts]).update(log_removed_at=Now())
        for some in _slices(attempts):
            record(
                "log.removed", of=None, subject=run.key, actor=KEEPER,
                run=run.key, days=settings.LOG_DAYS, logs=[_told(one) for one in some],
            )  # fmt: skip


def movable() -> QuerySet[StepAttempt]:
    """Attempts that have ended and whose log lies in the database, where there is a storage of logs."""
    if bodies.storage() is None:
        return StepAttempt.objects.none()
    here = StepAttempt.objects.filter(log_moved_at=None, log_removed_at=None, last_seq__gt=0)
    return here.filter(ended_at__lt=Now() - SETTLED).order_by("ended_at")


def move(attempt: StepAttempt) -> None:
    """To the storage, a part at a time. A part is read back before its bodies leave the database."""
    there = bodies.storage()
    if there is None:
        return
    for rows in _parts(attempt):
        part = rows[0].seq
        content = bodies.packed((row.seq, bytes(row.data or b"")) for row in rows)
        _put(there, bodies.name_of(attempt.pk, part), content)
        seqs = [row.seq for row in rows]
        LogChunk.objects.filter(attempt=attempt, seq__in=seqs).update(data=None, part=part)
    StepAttempt.objects.filter(pk=attempt.pk).update(log_moved_at=Now())


def _parts(attempt: StepAttempt) -> Iterator[list[LogChunk]]:
    """The chunks whose bodies are still here, in groups of about the size of an object."""
    group: list[LogChunk] = []
    size = 0
    here = LogChunk.objects.filter(attempt=attempt, part=None).order_by("seq")
    for row in here.iterator(chunk_size=16):
        group.append(row)
        size += len(row.data or b"")
        if size >= PART_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _put(there: Storage, name: str, content: bytes) -> None:
    saved = there.save(name, ContentFile(content))
    if saved != name:
        there.delete(saved)
        raise OSError(f"the storage of logs keeps {name} under another name")
    with there.open(name) as file:
        if file.read() != content:
            raise OSError(f"the storage of logs gives {name} back otherwise than it was given")
    _settle(there, name)


def _settle(there: Storage, name: str) -> None:
    """A folder's files survive a loss of power from here on; an object storage answers only once they do."""
    if not isinstance(there, FileSystemStorage):
        return
    path = Path(there.path(name))
    for place in (path, path.parent):
        handle = os.open(place, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _take_away(attempt: StepAttempt) -> None:
    there = bodies.storage()
    if there is None:
        raise bodies.LogUnavailable("The storage of logs is not set up any more; its logs stay.")
    parts = LogChunk.objects.filter(attempt=attempt, part__isnull=False).order_by("part")
    for part in parts.values_list("part", flat=True).distinct():
        there.delete(bodies.name_of(attempt.pk, part or 0))
    there.delete(str(attempt.pk))  # a folder is empty by now; an object storage has none


def _told(attempt: StepAttempt) -> dict[str, Any]:
    return {
        "step": attempt.step.key,
        "attempt": attempt.number,
        "root": attempt.log_root,
        "chunks": attempt.last_seq,
    }


def _slices(attempts: list[StepAttempt]) -> Iterator[list[StepAttempt]]:
    """As many as an entry has room for."""
    for start in range(0, len(attempts), TOLD):
        yield attempts[start : start + TOLD]


def _each(found: QuerySet[Any], deal: Any, until: float) -> int:
    """Deal with each; one that fails is tried again in a later round, and does not hold up the others."""
    count = 0
    for one in list(found[:BATCH]):
        if time.monotonic() > until:
            break
        try:
            deal(one)
            count += 1
        except Exception as error:
            log.warning("the log of %s stays where it is: %s: %s", one.pk, type(error).__name__, error)
            if not connection.is_usable():
                raise
    return count
