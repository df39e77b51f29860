"""What a page shows of the steps of a run that wait for a person's word: what is known, and what is not.

Reads only; who may answer is asked of `access`, and again by whoever writes the answer.
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from audit.templatetags import schema_fields
from orchestration import access
from orchestration.actions.manual import ANYONE
from orchestration.definitions import inputs
from orchestration.engine import asks
from orchestration.logs import reading
from orchestration.logs.bodies import LogUnavailable
from orchestration.models import Run, Step, WorkerNode

LAST_LINES = 10
NAMES = 5
WAITING = (Step.State.UNKNOWN, Step.State.ASKING)


@dataclass(frozen=True)
class Typed:
    """What was sent for one step and did not fit."""

    key: str
    note: str
    outputs: Mapping[str, Any]
    errors: list[dict[str, str]]


def context(user: Any, run: Run | None, typed: Typed | None = None) -> dict[str, Any]:
    """`unknown`: a card for each step whose end nobody saw; `asking`: one for each that a person is asked to do."""
    waiting = list(run.steps.filter(state__in=WAITING).order_by("position")) if run is not None else []
    if run is None or not waiting:
        return {"unknown": [], "asking": []}
    unknown = [step for step in waiting if step.state == Step.State.UNKNOWN]
    asking = [step for step in waiting if step.state == Step.State.ASKING]
    names = access.who_may_answer(run) if unknown else []
    return {
        "unknown": [_unknown(step) for step in unknown],
        "asking": [_asking(user, run, step, typed) for step in asking],
        "may_answer": access.may_answer(user, run),
        "vouches_for_own": user.person_id in run.conflicted,
        "answerers": names[:NAMES],
        "more_answerers": max(0, len(names) - NAMES),
    }


def schema(step: Step) -> dict[str, Any]:
    """What the person fills in."""
    return inputs.schema(asks.document(step.spec["with"]))


def prefix(step: Step) -> str:
    """Keeps the fields of two steps on one page apart."""
    return f"outputs-{step.key}"


def _asking(user: Any, run: Run, step: Step, typed: Typed | None) -> dict[str, Any]:
    asked = step.spec["with"]
    sent = typed if typed is not None and typed.key == step.key else Typed(step.key, "", {}, [])
    errors = [
        {**one, "pointer": one["pointer"].replace("/outputs", f"/{prefix(step)}", 1)} for one in sent.errors
    ]
    return {
        "step": step,
        "instructions": asked["instructions"],
        "may": access.may_do(user, run, step),
        "who": f"people of {asked['team']}" if "team" in asked else "whoever operates its service",
        "others": asked.get("by") != ANYONE,
        "own": user.person_id in run.conflicted,
        "note_required": asked.get("note") == "required",
        "note": sent.note,
        "note_error": next((one["detail"] for one in errors if one["pointer"] == "/note"), ""),
        "errors": errors,
        "fields": schema_fields.fields(schema(step), sent.outputs, errors, prefix(step)),
    }


def _unknown(step: Step) -> dict[str, Any]:
    attempt = step.attempts.order_by("-number").first()
    return {
        "step": step,
        "attempt": attempt,
        "node": WorkerNode.objects.filter(pk=attempt.worker_boot_id).first() if attempt else None,
        "lines": _last_lines(step),
        "check": shlex.join(step.spec.get("check", {}).get("argv", [])),
        "has_check": step.effect == "reconcilable",
    }


def _last_lines(step: Step) -> list[str]:
    """Nothing where they cannot be had: the question can be answered all the same."""
    try:
        return reading.last_lines(step, LAST_LINES)
    except LogUnavailable:
        return []
