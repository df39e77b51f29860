"""A step that a person ticks off: it starts through the gate as any other, then waits without a worker.

What is asked is read from the signed bytes. It must never start anything, nor wait for anybody.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db.models.functions import Now

from audit.ledger.entry import Actor
from orchestration import lifecycle, notify
from orchestration.actions import registry
from orchestration.engine import events
from orchestration.engine.plan import Planned
from orchestration.models import Step, StepAttempt

S = Step.State


def is_asked(signed_off: Planned) -> bool:
    """Whether a person does this step."""
    action = registry.get(signed_off.spec["uses"])
    return action is not None and action.asks


def ask(step: Step, *, boot_id: UUID, by: Actor) -> events.Event:
    """Let it wait for a person, in the transaction in which the gate agreed to its start."""
    before = {"attempt": step.attempt}
    step.attempt += 1
    columns = {"attempt": step.attempt, "started_at": Now(), "ended_at": None, "held_reason": ""}
    lifecycle.move_step(step, S.ASKING, by=by, guard=before, columns=columns)
    StepAttempt.objects.create(step=step, number=step.attempt, worker_boot_id=boot_id, started_at=Now())
    notify.hint(notify.INBOX, 0)
    return ("step.asking", {"step": step.key, "attempt": step.attempt})


def document(asked: Mapping[str, Any]) -> dict[str, Any]:
    """The outputs that are asked for, as the inputs of a workflow are: one way to draw and to judge both."""
    rules = [{"name": name, "schema": rule} for name, rule in sorted(asked.get("outputs", {}).items())]
    return {"spec": {"inputs": rules}}
