"""A person says what became of a step whose worker vanished. The engine never guesses it."""

from typing import Any, Literal

from django.db import transaction
from django.db.models.functions import Now

from accounts.acting import Acting
from audit.ledger.entry import Actor
from audit.refusals import Invalid, MoveNotAllowed, NotAllowed
from orchestration import lifecycle
from orchestration.engine import dispatch, events
from orchestration.engine.advance import advance, move_both
from orchestration.engine.rows import lock_run, steps_of
from orchestration.models import Run, Step

Decision = Literal["done", "retry", "fail"]
S, R = Step.State, Run.State
BECOMES: dict[str, Step.State] = {"done": S.SUCCEEDED, "retry": S.READY, "fail": S.FAILED}


def resolve(step: Step, decision: str, *, by: Acting, reason: str = "") -> Run:
    """Write the person's answer; the run goes on from it."""
    if by.actor.kind != "person":
        raise NotAllowed("Only a person can say what became of this step; nothing was done.")
    if decision not in BECOMES:
        raise Invalid(
            "Answer done, retry or fail; nothing was done.",
            errors=[{"pointer": "/decision", "detail": "one of: done, retry, fail"}],
        )
    with transaction.atomic():
        run = lock_run(step.run_id)
        steps = steps_of(run)
        step = next(one for one in steps if one.pk == step.pk)
        if step.state != S.UNKNOWN:
            raise MoveNotAllowed(f"{run.key}/{step.key} is {step.state}; there is nothing to resolve.")
        _resolve(run, step, decision, by=by.actor, reason=reason)
        if run.state == R.UNKNOWN and not any(one.state == S.UNKNOWN for one in steps):
            events.tell(run, [move_both(run, R.RUNNING, by=by.actor, reason=f"{step.key}: {decision}")])
        ready = advance(run, steps, by=by.actor)
        for one in [step.pk, *ready]:
            dispatch.wake(one)
    return run


def _resolve(run: Run, step: Step, decision: str, *, by: Actor, reason: str) -> None:
    to = BECOMES[decision]
    columns: dict[str, Any] = {"ended_at": Now()}
    if decision == "retry":  # the person's word is worth one more attempt, and no more
        columns = {
            "ended_at": None,
            "not_before": Now(),
            "max_attempts": max(step.max_attempts, step.attempt + 1),
        }
    lifecycle.move_step(step, to, by=by, columns=columns, decision=decision, reason=reason)
    told = {"step": step.key, "attempt": step.attempt, "decision": decision}
    events.tell(run, [(f"step.{to}", told)])
