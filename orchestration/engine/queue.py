"""One run at a time under a lock, and whose turn it is among those that wait.

A run holds its lock by its state alone: while it runs, and while what became of it is unknown. Nothing has to be
released, so nothing can be forgotten; the database refuses a second holder (`run_alone_under_its_lock`). It must
never start anything: it says no to a start, and lets the next one ask again.
"""

from datetime import timedelta
from typing import NamedTuple

from django.db import connection
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from audit.refusals import Refusal
from orchestration.engine import dispatch
from orchestration.models import Place, Run, Step

S, R = Step.State, Run.State
HOLDING = (R.RUNNING, R.UNKNOWN)
STANDS = timedelta(seconds=120)  # twice as long as a waiting run takes to ask again
ORDER = ("run__turn_at", "run__number")
_ALONE = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 6877))"  # one asker at a time, by the lock's name


class LockTaken(Refusal):
    """Another run holds the lock, or is before this one in the queue for it."""

    code = "lock_taken"


class LockAltered(Refusal):
    """The row of the run names another lock than what was signed off."""

    code = "lock_altered"


class Line(NamedTuple):
    """A lock as it stands: who holds it, who waits for it, first come first."""

    lock: str
    holder: Run | None
    waiting: list[Run]


def take(run: Run, lock: str) -> None:
    """At the first start of a run, in the claim's transaction, all else agreed: alone from here to its end."""
    if run.state != R.READY:
        return
    if run.lock != lock:
        raise LockAltered(f"{run.key} names another lock than was signed off; it was not started.")
    if not lock:
        return
    with connection.cursor() as cursor:
        cursor.execute(_ALONE, [lock])
    if holders(lock).exists() or _before(run).exists():
        raise LockTaken(f"{run.key} waits for the lock {lock}: one run at a time.")
    Place.objects.filter(run=run).delete()


def asked(run: Run, refusal: Refusal) -> None:
    """After a start that was refused: in the queue if only the lock was in its way, else out of it."""
    if not isinstance(refusal, LockTaken):
        leave(run)
        return
    now = {"asked_at": Now()}
    Place.objects.update_or_create(
        run=run, defaults=now, create_defaults={"lock": run.lock, "since": Now(), **now}
    )


def leave(run: Run) -> None:
    """Stand in nobody's way."""
    if run.lock and Place.objects.filter(run=run).delete()[0]:
        call_next(run.lock)


def call_next(lock: str) -> int:
    """Let the first of the queue ask again now instead of in a minute; how many steps that were waiting."""
    first = standing(lock).first() if lock else None
    if first is None:
        return 0
    steps = Step.objects.filter(run=first.run_id, state=S.READY, not_before__gt=Now())
    called = list(steps.values_list("pk", flat=True))
    Step.objects.filter(pk__in=called).update(not_before=Now())
    for step_id in called:
        dispatch.wake(step_id)
    return len(called)


def call_all() -> int:
    """The reconciler's part: no lock is free while somebody waits for it, whatever was lost on the way."""
    Place.objects.exclude(run__state=R.READY).delete()
    held = Run.objects.filter(lock=OuterRef("lock"), state__in=HOLDING)
    free = Place.objects.filter(~Exists(held)).values_list("lock", flat=True).distinct()
    return sum(call_next(lock) for lock in list(free))


def line(run: Run) -> Line | None:
    """The lock of a run that has not ended, with its holder and its queue; None without a lock."""
    if not run.lock or run.state not in {R.READY, *HOLDING}:
        return None
    known = ("change__requester", "change__service", "change__environment")
    waiting = standing(run.lock).select_related(*(f"run__{name}" for name in known))
    holder = holders(run.lock).select_related(*known).first()
    return Line(run.lock, holder, [place.run for place in waiting])


def holders(lock: str) -> QuerySet[Run]:
    """At most one."""
    return Run.objects.filter(lock=lock, state__in=HOLDING)


def standing(lock: str) -> QuerySet[Place]:
    """The queue, in its order."""
    asking = {"run__state": R.READY, "run__cancel_requested_at": None, "run__paused_at": None}
    return Place.objects.filter(lock=lock, **asking).order_by(*ORDER)


def _before(run: Run) -> QuerySet[Place]:
    """Who has the better right and still asks: nobody waits for a run that no worker takes."""
    fresh = standing(run.lock).filter(asked_at__gt=Now() - STANDS)
    earlier = Q(run__turn_at__lt=run.turn_at) | Q(run__turn_at=run.turn_at, run__number__lt=run.number)
    return fresh.filter(earlier)
