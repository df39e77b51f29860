"""Asks what runs under a hard kill switch to stop. Found anew each time, so that no crash leaves one running.

It must never throw or lift a switch.
"""

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from approvals import switches
from approvals.plans import CONTROL_ROOM, EVERYWHERE
from audit.ledger.entry import Actor
from audit.refusals import MoveNotAllowed
from orchestration.engine import cancel
from orchestration.engine.rows import lock_run
from orchestration.models import Run, Step


def halted() -> QuerySet[Run]:
    """Runs that nobody has asked to stop yet, with a step that runs against a hard switch."""
    against = Q(pk__in=[])
    for one in switches.standing().filter(hard=True):
        here = (
            ~Q(run__change__environment__slug=CONTROL_ROOM)
            if one.environment == EVERYWHERE
            else Q(run__change__environment__slug=one.environment)
        )
        against |= here if one.action == switches.ANY else here & Q(uses=one.action)
    running = Step.objects.filter(against, run=OuterRef("pk"), state=Step.State.RUNNING)
    return Run.objects.filter(Exists(running), state__in=["running", "unknown"], cancel_requested_at=None)


def halt(seen: Run, *, by: Actor) -> None:
    """In a transaction of the caller."""
    cancel.request(lock_run(seen.pk), by=by, reason="a kill switch was thrown")


def halt_all(*, by: Actor) -> int:
    """Each in a transaction of its own; one that has ended meanwhile is left alone."""
    count = 0
    for run in halted():
        try:
            with transaction.atomic():
                halt(run, by=by)
            count += 1
        except MoveNotAllowed:
            continue
    return count
