"""What a person says about a step that they were asked to do; and what follows when nobody answers.

Of whom it is asked is read from the signed bytes. It must never take the word of a machine, nor of whoever
asked for the change where others are to vouch.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import DurationField, ExpressionWrapper, F, FloatField, QuerySet, Value
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast, Now

from accounts.acting import Acting
from accounts.models import Membership, User
from audit.ledger.entry import Actor
from audit.ledger.personal import Erasable
from audit.refusals import Invalid, MoveNotAllowed, NotAllowed
from orchestration import lifecycle, notify
from orchestration.actions.manual import ANYONE
from orchestration.definitions import inputs
from orchestration.engine import dispatch
from orchestration.engine.advance import advance
from orchestration.engine.asks import document
from orchestration.engine.complete import end_attempt
from orchestration.engine.plan import step_of
from orchestration.engine.rows import lock_run, steps_of
from orchestration.models import Run, Step

S = Step.State
BECOMES: dict[str, Step.State] = {"done": S.SUCCEEDED, "failed": S.FAILED}
MAX_NOTE = 2000
OVER = "nobody answered in time"


def answer(step: Step, decision: str, *, by: Acting, note: str = "", outputs: Any = None) -> Run:
    """Write what the person says; the run goes on from it."""
    if by.actor.kind != "person" or by.auth != "session":
        raise NotAllowed("Only a person can tick off this step; nothing was done.")
    with transaction.atomic():
        run = lock_run(step.run_id)
        steps = steps_of(run)
        step = next(one for one in steps if one.pk == step.pk)
        if step.state != S.ASKING:
            raise MoveNotAllowed(f"{run.key}/{step.key} is {step.state}; nobody is asked. Nothing was done.")
        asked = step_of(run.source, step).spec["with"]
        _require(by.user, run, asked)
        note, values = _checked(asked, decision, note, {} if outputs is None else outputs)
        to = BECOMES[decision]
        columns = {"ended_at": Now(), **({"outputs": values} if to == S.SUCCEEDED else {})}
        lifecycle.move_step(step, to, by=by.actor, columns=columns, decision=decision, reason=Erasable(note))
        _go_on(run, steps, step, by=by.actor, outcome=str(to), reason=note)
    return run


def overdue() -> QuerySet[Step]:
    """Steps whose person took longer than was signed."""
    seconds = Cast(KeyTextTransform("timeout_seconds", "spec"), FloatField())
    allowed = ExpressionWrapper(F("seconds") * Value(timedelta(seconds=1)), output_field=DurationField())
    asked = Step.objects.filter(state=S.ASKING).annotate(seconds=seconds)
    return asked.filter(started_at__lt=Now() - allowed).order_by("started_at")


def lapse(seen: Step, *, by: Actor) -> None:
    """In the caller's transaction: nobody answered, and the run does not wait for ever."""
    run = lock_run(seen.run_id)
    steps = steps_of(run)
    step = next(one for one in steps if one.pk == seen.pk)
    lifecycle.move_step(step, S.TIMED_OUT, by=by, columns={"ended_at": Now()}, reason=OVER)
    _go_on(run, steps, step, by=by, outcome=str(S.TIMED_OUT), reason=OVER)


def _go_on(run: Run, steps: list[Step], step: Step, *, by: Actor, outcome: str, reason: str) -> None:
    end_attempt(step, outcome=outcome, reason=reason)
    told = (f"step.{step.state}", {"step": step.key, "attempt": step.attempt, "reason": reason})
    for one in advance(run, steps, by=by, told=[told]):
        dispatch.wake(one)
    notify.hint(notify.INBOX, 0)


def _require(user: User, run: Run, asked: Mapping[str, Any]) -> None:
    """What the signed bytes demand; that somebody operates the service, where no team is named, the door has seen."""
    if asked.get("by") != ANYONE and user.person_id in run.conflicted:
        raise NotAllowed(
            "You asked for this change or wrote what it runs, so somebody else has to do this. Nothing was done."
        )
    if "team" in asked and not _is_in(user, asked["team"]):
        raise NotAllowed(f"People of {asked['team']} do this step, and you are not in it. Nothing was done.")


def _is_in(user: User, team: str) -> bool:
    return user.is_active and Membership.objects.filter(user=user, team__slug=team, ended_at=None).exists()


def _checked(
    asked: Mapping[str, Any], decision: str, note: str, outputs: Any
) -> tuple[str, Mapping[str, Any]]:
    """The note and the values, once they are what they may be."""
    errors = []
    if decision not in BECOMES:
        errors.append({"pointer": "/decision", "detail": f"one of: {', '.join(BECOMES)}"})
    if not note.strip() and (asked.get("note") == "required" or decision == "failed"):
        errors.append({"pointer": "/note", "detail": "Say in a sentence what you did, or why it failed."})
    elif len(note) > MAX_NOTE:
        errors.append({"pointer": "/note", "detail": f"At most {MAX_NOTE} characters."})
    values: Mapping[str, Any] = {}
    if decision == "done":
        values, wrong = _fit(asked, outputs)
        errors += wrong
    if errors:
        raise Invalid(f"Nothing was done. {errors[0]['detail']}", errors=errors)
    return note.strip(), values


def _fit(asked: Mapping[str, Any], outputs: Any) -> tuple[Mapping[str, Any], list[dict[str, str]]]:
    try:
        return inputs.fit(document(asked), outputs), []
    except inputs.InputsInvalid as refused:
        told = [
            {**one, "pointer": one["pointer"].replace("/inputs", "/outputs", 1)} for one in refused.errors
        ]
        return {}, told
