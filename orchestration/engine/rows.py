"""Locks rows in their one order: the change, then its run, then its steps. Never writes, never decides."""

from typing import TypeVar
from uuid import UUID

from django.db.models import QuerySet

from audit.refusals import NotFound
from orchestration.models import Change, Run, Step

Row = TypeVar("Row", Change, Run)


def lock_change(change_id: UUID) -> Change:
    """The change, locked FOR NO KEY UPDATE, so that new rows may still point at it."""
    changes = Change.objects.order_by().select_for_update(no_key=True)
    return _found(changes.filter(pk=change_id).first(), "change")


def lock_run(run_id: UUID) -> Run:
    """The run, with its change, both locked: approve, edit, cancel, start and complete take turns here."""
    return _found(_runs().filter(pk=run_id).first(), "run")


def lock_run_of_step(step_id: UUID) -> Run:
    """The same, found by one of its steps, with all that the gate wants to know."""
    known = _runs().select_related("change__revision", "change__environment", "permit")
    return _found(known.filter(steps=step_id).first(), "step")


def steps_of(run: Run) -> list[Step]:
    """All steps of a locked run, without what only a start needs."""
    steps = list(Step.objects.filter(run=run).defer("spec", "outputs"))
    for step in steps:
        step.run = run
    return steps


def _runs() -> QuerySet[Run]:
    """PostgreSQL locks the rows of one result in the order in which OF names them: the change first."""
    return (
        Run.objects.order_by().select_related("change").select_for_update(no_key=True, of=("change", "self"))
    )


def _found(row: Row | None, what: str) -> Row:
    if row is None:
        raise NotFound(f"There is no such {what}; nothing was done.")
    return row
