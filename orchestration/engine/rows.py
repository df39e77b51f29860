"""Locks rows in their one order: the change, then its run, then its steps. Never writes, never decides."""

from uuid import UUID

from django.db.models import Q

from audit.refusals import NotFound
from orchestration.models import Change, Run, Step


def lock_run(run_id: UUID) -> Run:
    """The run, with its change, both locked: approve, edit, cancel, start and complete take turns here."""
    locked = _lock(Q(runs=run_id), Q(pk=run_id))
    if locked is None:
        raise NotFound("There is no such run; nothing was done.")
    return locked


def lock_run_of_step(step_id: UUID) -> Run:
    """The same, found by one of its steps."""
    locked = _lock(Q(runs__steps=step_id), Q(steps=step_id))
    if locked is None:
        raise NotFound("There is no such step; nothing was done.")
    return locked


def steps_of(run: Run) -> list[Step]:
    """All steps of a locked run, without what only a start needs."""
    steps = list(Step.objects.filter(run=run).defer("spec", "outputs"))
    for step in steps:
        step.run = run
    return steps


def _lock(change_is: Q, run_is: Q) -> Run | None:
    """FOR NO KEY UPDATE: new rows may still point at the locked ones."""
    changes = Change.objects.select_related("revision", "environment").order_by()
    change = changes.select_for_update(no_key=True, of=("self",)).filter(change_is).first()
    if change is None:
        return None
    run = Run.objects.order_by().select_for_update(no_key=True, of=("self",)).get(run_is)
    run.change = change
    return run
