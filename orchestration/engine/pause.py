"""Holds a run between its steps, and lets it go on: what runs ends by itself, nothing new starts.

A pause extends nothing: permit and deadline go on. It must never stop a step; that is `cancel.py`.
"""

from django.db import transaction

from accounts.acting import Acting
from approvals.clock import database_time
from audit.ledger.personal import Erasable
from audit.refusals import MoveNotAllowed
from orchestration import lifecycle
from orchestration.engine import dispatch, events
from orchestration.engine.rows import lock_run
from orchestration.models import Run, Step

R = Run.State


@transaction.atomic
def pause(seen: Run, *, by: Acting, reason: str = "") -> Run:
    """No further step starts from the moment that this commits: a start takes its turn at the same lock."""
    run = lock_run(seen.pk)
    if run.state not in {R.READY, R.RUNNING} or run.cancel_requested_at is not None:
        why = "is being stopped" if run.cancel_requested_at else f"is {run.state}"
        raise MoveNotAllowed(f"{run.key} {why}; there is nothing to pause.")
    if run.paused_at is None:
        _record(run, "run.paused", {"paused_at": database_time()}, by=by, reason=reason)
    return run


@transaction.atomic
def resume(seen: Run, *, by: Acting, reason: str = "") -> Run:
    """Its ready steps are asked about again at once; the gate answers anew."""
    run = lock_run(seen.pk)
    if run.paused_at is None:
        raise MoveNotAllowed(f"{run.key} is not paused; nothing was done.")
    _record(run, "run.resumed", {"paused_at": None}, by=by, reason=reason)
    for step_id in Step.objects.filter(run=run, state=Step.State.READY).values_list("pk", flat=True):
        dispatch.wake(step_id)
    return run


def _record(run: Run, kind: str, columns: lifecycle.Columns, *, by: Acting, reason: str) -> None:
    lifecycle.touch_run(run, kind, by=by.actor, columns=columns, reason=Erasable(reason))
    events.tell(run, [(kind, {"reason": reason})])
