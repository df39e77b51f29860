"""Locks and reads rows in their one order: the change, then its run, then its steps. Never writes, never decides.

The engine's hot path; hence plain SQL, a constant text each, which the database plans once.
"""

from typing import NamedTuple, TypeVar
from uuid import UUID

from django.db import connection

from audit.refusals import NotFound
from orchestration.models import Change, Revision, Run, Step

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
_COLUMNS = """
    SELECT id, version, run_id, key, position, needs, effect, state, attempt, max_attempts, lease_owner, lease_until,
           reason, spec ->> 'phase' AS phase,
           spec ?| '{when,continue_on_error,phase}' OR spec @? '$.matrix.max_parallel' AS has_way
"""
_STEPS = _COLUMNS + "FROM orchestration_step WHERE run_id = %s ORDER BY position"
# All of them where something may follow once this one has succeeded; else it alone. Nothing follows (flow.py) while the
# rest goes on as it was: nothing said about its way, nothing broken or doubtful, some left, none of which waits only
# for steps that are over.
_STEPS_ABOUT = f"""
    WITH mine AS MATERIALIZED ({_COLUMNS}, CASE WHEN id = %s THEN 'succeeded' ELSE state END AS soon
                                 FROM orchestration_step WHERE run_id = %s),
         unmet AS MATERIALIZED (SELECT key FROM mine WHERE soon NOT IN ('succeeded', 'omitted')),
         follows AS MATERIALIZED (
             SELECT bool_or(has_way OR soon IN ('failed', 'timed_out', 'cancelled', 'skipped', 'unknown'))
                 OR NOT bool_or(soon IN ('blocked', 'ready', 'running', 'asking'))
                 OR bool_or(soon = 'blocked' AND NOT EXISTS (SELECT FROM unmet WHERE mine.needs ? unmet.key)) AS some
               FROM mine)
    SELECT mine.*, follows.some AS leads_on FROM mine, follows
     WHERE follows.some OR mine.id = %s ORDER BY mine.position
"""  # noqa: S608 - a constant
_REVISION = "SELECT * FROM orchestration_revision WHERE id = %s"
_GLANCE = """
    SELECT run.state = 'ready', step.spec ? 'secrets'
      FROM orchestration_step AS step JOIN orchestration_run AS run ON run.id = step.run_id
     WHERE step.id = %s AND step.state = 'ready' AND run.state IN ('ready', 'running')
       AND run.cancel_requested_at IS NULL AND run.paused_at IS NULL
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


class Glance(NamedTuple):
    """What can be seen of a step without a lock: whether it is its run's first, and whether it names secrets."""

    begins: bool
    has_secrets: bool


def glance(step_id: UUID) -> Glance | None:
    """Before any lock, so that nobody waits for what is looked up meanwhile; None where there is nothing to start."""
    with connection.cursor() as cursor:
        cursor.execute(_GLANCE, [step_id])
        row = cursor.fetchone()
    return Glance(*row) if row else None


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
        change.revision = next(iter(Revision.objects.raw(_REVISION, [change.revision_id])), None)
    return step


def steps_of(run: Run) -> list[Step]:
    """All steps of a locked run, without what only a start needs."""
    steps = list(Step.objects.raw(_STEPS, [run.pk]))
    for step in steps:
        step.run = run
    return steps


def steps_about(run: Run, step_id: UUID) -> list[Step]:
    """All steps of a locked run if something may follow from the success of this one (`leads_on`), else it alone."""
    steps = list(Step.objects.raw(_STEPS_ABOUT, [step_id, run.pk, step_id]))
    for step in steps:
        step.run = run
    return steps


def _found(row: Row | None, what: str) -> Row:
    if row is None:
        raise NotFound(f"There is no such {what}; nothing was done.")
    return row
