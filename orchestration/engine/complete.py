"""Writes what became of an attempt, and what follows from it, in one transaction under the run's lock.

Only the holder of the attempt may complete it. It must never start anything; it says what is ready.
"""

import random
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Now

from approvals.clock import database_time
from audit.canonical import Json
from audit.ledger.entry import Actor
from audit.ledger.record import record
from audit.refusals import MoveNotAllowed, StaleVersion
from orchestration import lifecycle
from orchestration.engine import artifacts, dispatch, events, logs
from orchestration.engine.advance import advance
from orchestration.engine.attempt import Outcome
from orchestration.engine.claim import Claimed
from orchestration.engine.failpoints import failpoint
from orchestration.engine.logs import Log
from orchestration.engine.plan import REPEATABLE
from orchestration.engine.rows import lock_run, steps_about, steps_of
from orchestration.models import Run, Step, StepAttempt

S = Step.State
_END_ATTEMPT = """
    UPDATE orchestration_stepattempt
       SET ended_at = statement_timestamp(), outcome = %s, reason = %s, exit_code = %s
     WHERE step_id = %s AND number = %s
"""
RETRY_BASE_SECONDS, RETRY_CAP_SECONDS = 2.0, 300.0


def complete(claimed: Claimed, outcome: Outcome, *, log: Log) -> UUID | None:
    """Record the outcome; the id of a step that is ready now and that the caller may go on with."""
    failpoint("complete.before")
    if outcome.state == "fenced":
        _record_late(claimed, outcome)
        return None
    try:
        told = log.finish()
        with transaction.atomic():
            ready = _complete(claimed, outcome, log=told)
            for step_id in ready[1:]:
                dispatch.wake(step_id)
            failpoint("complete.before_commit")
    except (StaleVersion, MoveNotAllowed):
        _record_late(claimed, outcome)
        return None
    return ready[0] if ready else None


def _complete(claimed: Claimed, outcome: Outcome, *, log: dict[str, Json]) -> list[UUID]:
    run = lock_run(claimed.attempt.run_id)
    goes_on = outcome.state == "succeeded" and run.cancel_requested_at is None
    steps = steps_about(run, claimed.step_id) if goes_on else steps_of(run)
    step = next(step for step in steps if step.pk == claimed.step_id)
    if (step.attempt, step.lease_owner) != (claimed.attempt.number, claimed.attempt.boot_id):
        raise StaleVersion(f"{run.key}/{step.key} is held by another attempt; this one reports in vain.")
    to, columns = _next_state(claimed, outcome, run, step)
    told: dict[str, Any] = {"exit_code": outcome.exit_code, "reason": outcome.reason}
    lifecycle.move_step(step, to, by=claimed.actor, guard=claimed.guard, columns=columns, **told, **log)
    end_attempt(step, outcome=outcome.state, **told)
    artifacts.store(run, step, outcome.artifacts, by=claimed.actor)
    news = (f"step.{to}", {"step": step.key, "attempt": step.attempt, **told})
    if goes_on and not getattr(step, "leads_on", True):
        events.tell(run, [news])
        return []
    return advance(run, steps, by=claimed.actor, told=[news])


def _next_state(
    claimed: Claimed, outcome: Outcome, run: Run, step: Step
) -> tuple[Step.State, dict[str, Any]]:
    """Where the step goes: its end, another try, or a question to a person."""
    if outcome.state == "succeeded":
        return S.SUCCEEDED, {"ended_at": Now(), "outputs": outcome.outputs}
    if outcome.state == "unstarted":
        return _again(step, run)
    pause = _backoff(step.attempt)
    if _may_repeat(claimed, outcome, run, step) and database_time() + pause < claimed.permit_expires_at:
        return S.READY, {"not_before": Now() + pause}
    return S(outcome.state), {"ended_at": Now()}


def _again(step: Step, run: Run) -> tuple[Step.State, dict[str, Any]]:
    """Nothing was started, whatever the effect of the step is: it is tried again, and has lost no try by it."""
    if run.cancel_requested_at is not None:
        return S.CANCELLED, {"ended_at": Now()}
    later = Now() + _backoff(step.attempt)
    return S.READY, {"not_before": later, "max_attempts": F("max_attempts") + 1}


def _may_repeat(claimed: Claimed, outcome: Outcome, run: Run, step: Step) -> bool:
    """Another try only where repeating is declared safe; the gate sees to it that it is still permitted."""
    listed = outcome.state == "failed" and outcome.exit_code in claimed.planned.retry_exit_codes
    safe = step.effect in REPEATABLE or listed
    own_fault = outcome.state in {"failed", "timed_out"}  # else the worker drained, or lost sight of it
    tries = claimed.planned.retries if own_fault else claimed.planned.max_attempts - 1
    never_started = step.max_attempts - claimed.planned.max_attempts
    if not safe or outcome.asks or run.cancel_requested_at is not None:
        return False
    return step.attempt - never_started <= tries


def _backoff(attempt: int) -> timedelta:
    """Full jitter: workers that failed together do not come back together."""
    most = min(RETRY_CAP_SECONDS, RETRY_BASE_SECONDS * 2 ** min(attempt - 1, 10))
    return timedelta(seconds=random.uniform(0, most))  # noqa: S311 - no secret


def end_attempt(step: Step, *, outcome: str, reason: str = "", exit_code: int | None = None) -> None:
    """Close the row of a step's current attempt."""
    with connection.cursor() as cursor:
        cursor.execute(_END_ATTEMPT, [outcome, reason, exit_code, step.pk, step.attempt])


def _record_late(claimed: Claimed, outcome: Outcome) -> None:
    """Somebody else holds the step, or has ended it: the report is kept as a report, and changes nothing.

    Unless it was this very report, whose commit succeeded while the connection broke.
    """
    attempt, actor = claimed.attempt, claimed.actor
    if StepAttempt.objects.filter(pk=claimed.attempt_id, outcome=outcome.state).exists():
        return
    with transaction.atomic():
        record(
            "step.late_result",
            of=None,
            subject=claimed.run_key,
            actor=actor,
            run=claimed.run_key,
            step=attempt.step_key,
            attempt=attempt.number,
            outcome=outcome.state,
            exit_code=outcome.exit_code,
            detail="late result from fenced attempt",
        )


def lost(run: Run, step: Step, *, by: Actor) -> None:
    """A step whose worker vanished: again where that is safe, else a person must say what happened."""
    again = step.effect in REPEATABLE and step.attempt < step.max_attempts and not run.cancel_requested_at
    to = S.READY if again else S.UNKNOWN
    guard = {"attempt": step.attempt, "lease_owner": step.lease_owner, "lease_until": step.lease_until}
    columns = {"not_before": Now()} if again else {"ended_at": Now()}
    log = logs.of_lost(step)
    lifecycle.move_step(step, to, by=by, guard=guard, columns=columns, reason="the worker vanished", **log)
    end_attempt(step, outcome="unknown", reason="the worker vanished")
    events.tell(run, [(f"step.{to}", {"step": step.key, "attempt": step.attempt})])
