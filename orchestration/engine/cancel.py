"""Stops a run: what has not started never will, what runs is told to end. Never kills anything itself."""

from django.db import connection, transaction

from accounts.acting import Acting
from audit.ledger.entry import Actor
from audit.ledger.personal import Erasable
from audit.refusals import MoveNotAllowed
from orchestration import lifecycle
from orchestration.engine import events
from orchestration.engine.advance import advance
from orchestration.engine.nodes import notify_hearts
from orchestration.engine.rows import lock_run, steps_of
from orchestration.models import Run


def cancel(run: Run, *, by: Acting, reason: str = "") -> Run:
    """Cancel a run; it ends when the last of its running steps has ended."""
    with transaction.atomic():
        locked = lock_run(run.pk)
        request(locked, by=by.actor, reason=Erasable(reason))
    return locked


def request(run: Run, *, by: Actor, reason: str) -> None:
    """The same for a run that is locked already, in the caller's transaction."""
    if lifecycle.is_terminal(run.state):
        raise MoveNotAllowed(f"{run.key} has ended as {run.state}; there is nothing to cancel.")
    if run.cancel_requested_at is not None:
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        at = cursor.fetchone()[0]
    asked = {"cancel_requested_at": at, "reason": reason}
    lifecycle.touch_run(run, "run.cancel_requested", by=by, columns=asked, reason=reason)
    events.tell(run, [("run.cancel_requested", {"reason": reason})])
    advance(run, steps_of(run), by=by)
    notify_hearts()
