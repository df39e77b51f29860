"""What the engine's tests do: claim, end, lose, and look at what is written."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models.functions import Now

from audit.models import Entry
from orchestration.engine.attempt import Outcome
from orchestration.engine.claim import Claimed, claim
from orchestration.engine.complete import complete
from orchestration.engine.logs import Log
from orchestration.engine.nodes import Node
from orchestration.models import Run, Step


def claimed(one: Step, boot_id: UUID | None = None) -> Claimed | None:
    return claim(one.pk, boot_id=boot_id or known())


def known() -> UUID:
    """The boot id of a process of an enrolled worker."""
    node = Node()
    node.register()
    return node.boot_id


def holding(one: Step) -> Claimed:
    held = claimed(one)
    assert held is not None, Step.objects.get(pk=one.pk).held_reason
    return held


def ended(held: Claimed, state: Any = "succeeded", **more: Any) -> UUID | None:
    return complete(held, Outcome(state, **more), log=Log(held.attempt, held.attempt_id))


def vanish() -> None:
    """The workers of all running steps are gone, and the time of their leases is over."""
    Step.objects.filter(state="running").update(lease_until=Now() - timedelta(minutes=1))


def told(kind: str, **of: Any) -> int:
    return Entry.objects.filter(kind=kind, **of).count()


def both(run: Run) -> tuple[str, str]:
    """The state of a run, and of its change."""
    run = Run.objects.select_related("change").get(pk=run.pk)
    return run.state, run.change.state
