"""Stages past their due time: found by the database's clock, and their people told, at most every four hours.

Escalation itself needs nobody here: who may decide is judged by the same clock (`Stage.teams_asked`), so a clock
task that is dead delays a reminder and nothing else. It must never decide, complete or close anything.
"""

from datetime import timedelta

from django.db.models import F, Q
from django.db.models.functions import Now

from approvals.clock import database_time
from approvals.models import Stage
from approvals.models.chain import StageQuerySet
from audit.ledger.entry import Actor
from audit.ledger.record import record, timestamp

EVERY = timedelta(hours=4)


def overdue() -> StageQuerySet:
    """Open stages past due whose people have not been told lately."""
    untold = Q(reminded_at=None) | Q(reminded_at__lte=Now() - EVERY)
    return Stage.objects.opened().unfinished().filter(untold, due_at__lte=Now())


def remind(seen: Stage, *, by: Actor) -> bool:
    """Tell those who may decide it, in the caller's transaction: the first time that it is overdue.

    False when it was decided, or its people were told, meanwhile.
    """
    stage = overdue().select_related("chain").filter(pk=seen.pk).first()
    if stage is None:
        return False
    untold = Stage.objects.filter(pk=stage.pk, reminded_at=stage.reminded_at)  # of two clocks one finds it so
    if not untold.update(reminded_at=database_time(), reminders=F("reminders") + 1):
        return False
    if stage.reminders:
        _record("stage.reminded", stage, by=by)
    else:
        _record("stage.overdue", stage, by=by)
    return True


def _record(kind: str, stage: Stage, *, by: Actor) -> None:
    record(
        kind, of=None, subject=stage.chain.subject, actor=by, chain=str(stage.chain_id), stage=str(stage.pk),
        stage_name=stage.name, due_at=timestamp(stage.due_at) if stage.due_at else None,
        escalate_to=list(stage.escalate_to), reminder=stage.reminders + 1,
    )  # fmt: skip
