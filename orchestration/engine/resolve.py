"""A person says what became of a step whose worker vanished. The engine never guesses it.

It must never take the word of whoever asked for the change or wrote it: they would vouch for themselves.
"""

from typing import Any, Literal

from django.db import transaction
from django.db.models.functions import Now

from accounts.acting import Acting
from audit.ledger.entry import Actor
from audit.ledger.personal import Erasable
from audit.refusals import Invalid, MoveNotAllowed, NotAllowed
from orchestration import lifecycle
from orchestration.engine import dispatch, events
from orchestration.engine.advance import advance, move_both
from orchestration.engine.rows import lock_run, steps_of
from orchestration.models import Run, Step, StepAttempt

Decision = Literal["done", "retry", "fail", "check"]
S, R = Step.State, Run.State
BECOMES: dict[str, Step.State] = {
    "done": S.SUCCEEDED,
    "retry": S.READY,
    "fail": S.FAILED,
    "check": S.READY,  # whose next attempt asks the check first
}
MAX_REASON = 2000


def resolve(step: Step, decision: str, *, by: Acting, reason: str = "") -> Run:
    """Write the person's answer; the run goes on from it."""
    if by.actor.kind != "person" or by.auth != "session":
        raise NotAllowed("Only a person can say what became of this step; nothing was done.")
    reason = _checked(decision, reason)
    with transaction.atomic():
        run = lock_run(step.run_id)
        steps = steps_of(run)
        step = next(one for one in steps if one.pk == step.pk)
        if by.user.person_id in run.conflicted:
            raise NotAllowed(
                "You asked for this change or wrote what it runs, so somebody else has to say what became of the step."
                " Nothing was done."
            )
        if step.state != S.UNKNOWN:
            raise MoveNotAllowed(f"{run.key}/{step.key} is {step.state}; there is nothing to resolve.")
        if decision == "check" and step.effect != "reconcilable":
            raise MoveNotAllowed(
                f"{run.key}/{step.key} has no check that could be asked. Answer done, retry or fail."
            )
        _resolve(run, step, decision, by=by.actor, reason=reason)
        if run.state == R.UNKNOWN and not any(one.state == S.UNKNOWN for one in steps):
            events.tell(run, [move_both(run, R.RUNNING, by=by.actor, reason=f"{step.key}: {decision}")])
        ready = advance(run, steps, by=by.actor)
        for one in [step.pk, *ready]:
            dispatch.wake(one)
    return run


def _checked(decision: str, reason: str) -> str:
    """The reason, once both are what they may be."""
    errors = []
    if decision not in BECOMES:
        errors.append({"pointer": "/decision", "detail": f"one of: {', '.join(BECOMES)}"})
    if not reason.strip():
        errors.append(
            {"pointer": "/reason", "detail": "Say how you know: what you looked at, and what you saw."}
        )
    elif len(reason) > MAX_REASON:
        errors.append({"pointer": "/reason", "detail": f"At most {MAX_REASON} characters."})
    if errors:
        raise Invalid(f"Nothing was done. {errors[0]['detail']}", errors=errors)
    return reason.strip()


def _resolve(run: Run, step: Step, decision: str, *, by: Actor, reason: str) -> None:
    to = BECOMES[decision]
    columns: dict[str, Any] = {"ended_at": Now()}
    if to == S.READY:  # the person's word is worth one more attempt, and no more
        columns = {
            "ended_at": None,
            "not_before": Now(),
            "max_attempts": max(step.max_attempts, step.attempt + 1),
        }
    lifecycle.move_step(step, to, by=by, columns=columns, decision=decision, reason=Erasable(reason))
    StepAttempt.objects.filter(step=step, number=step.attempt).update(answer=decision)
    told = {"step": step.key, "attempt": step.attempt, "decision": decision}
    events.tell(run, [(f"step.{to}", told)])
