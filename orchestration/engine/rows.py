"""Locks and reads rows in their one order: the change, then its run, then its steps. Never writes, never decides.

The engine's hot path; hence plain SQL, a constant text each, which the database plans once.
"""

from typing import TypeVar
from uuid import UUID

from audit.refusals import NotFound
from orchestration.models import Change, Run, Step

Row = TypeVar("Row", Change, Run)

# NO KEY: new rows may still point at a locked one.
_LOCK_CHANGE = "SELECT * FROM orchestration_change WHERE id = %s FOR NO KEY UPDATE"
_LOCK_CHANGE_OF_RUN = """
    SELECT * FROM orchestration_change WHERE id = (SELECT change_id FROM orchestration_run WHERE id = %s)
       FOR NO KEY UPDATE
"""
_LOCK_RUN = "SELECT * FROM orchestration_run WHERE id = %s FOR NO KEY UPDATE"
_LOCK_CHANGE_OF_STEP = """
    SELECT * FROM orchestration_change WHERE id = (
        SELECT change_id FROM orchestration_run WHERE id = (SELECT run_id FROM orchestration_step WHERE id = %s))
       FOR NO KEY UPDATE
"""
_LOCK_RUN_OF_STEP = """
    SELECT * FROM orchestration_run WHERE id = (SELECT run_id FROM orchestration_step WHERE id = %s)
       FOR NO KEY UPDATE
"""
_STEPS = """
    SELECT id, version, run_id, key, position, needs, effect, state, attempt, max_attempts, lease_owner, lease_until,
           reason, spec ?| '{when,continue_on_error,phase,matrix}' AS has_way
      FROM orchestration_step WHERE run_id = %s ORDER BY position
"""
# Ready, due by the database's clock, and everything before it succeeded, was passed over, or was allowed to fail.
_STARTABLE = """
    SELECT step.* FROM orchestration_step AS step
     WHERE step.id = %s AND step.state = 'ready' AND step.not_before <= clock_timestamp()
       AND NOT EXISTS (
           SELECT 1 FROM orchestration_step AS before
            WHERE before.run_id = step.run_id AND step.needs ? before.key
              AND before.state NOT IN ('succeeded', 'omitted')
              AND NOT (before.state IN ('failed', 'timed_out') AND before.spec @> '{"continue_on_error": true}'))
"""


def lock_change(change_id: UUID) -> Change:
    """The change, locked."""
    return _found(next(iter(Change.objects.raw(_LOCK_CHANGE, [change_id])), None), "change")


def lock_run(run_id: UUID) -> Run:
    """The run, with its change, both locked: approve, edit, cancel, start and complete take turns here."""
    change = _found(next(iter(Change.objects.raw(_LOCK_CHANGE_OF_RUN, [run_id])), None), "run")
    run = _found(next(iter(Run.objects.raw(_LOCK_RUN, [run_id])), None), "run")
    run.change = change
    return run


def lock_startable(step_id: UUID) -> Step | None:
    """The step with its run and change, all locked, if nothing but the gate stands between it and its start."""
    change = _found(next(iter(Change.objects.raw(_LOCK_CHANGE_OF_STEP, [step_id])), None), "step")
    run = _found(next(iter(Run.objects.raw(_LOCK_RUN_OF_STEP, [step_id])), None), "step")
    step = next(iter(Step.objects.raw(_STARTABLE, [step_id])), None)
    if step is not None:
        step.run, run.change = run, change
    return step


def steps_of(run: Run) -> list[Step]:
    """All steps of a locked run, without what only a start needs."""
    steps = list(Step.objects.raw(_STEPS, [run.pk]))
    for step in steps:
        step.run = run
    return steps


def _found(row: Row | None, what: str) -> Row:
    if row is None:
        raise NotFound(f"There is no such {what}; nothing was done.")
    return row
