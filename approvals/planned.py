"""What lets plan steps start before anybody agreed: a door's signature under what is to be found out.

A plan only reads, so it has no chain and no sign-offs, and no freeze holds it. It must never let anything start that
its bytes do not call a plan step that only reads; what the step's program then does is its author's word.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from approvals import keys
from approvals.closed import NotOnlyReading, PlanUnsigned
from approvals.models import Permit
from audit.canonical import Json
from audit.ledger.record import timestamp

PHASE, EFFECT = "plan", "read_only"
BEFORE_START = frozenset({"draft", "waiting", "approved", "scheduled"})


def sign(*, change: str, digest: str) -> str:
    """Under the plan's row: with SQL alone nobody makes a worker run anything."""
    return keys.sign("plan", _statement(change, digest))


def check(*, change: str, digest: str, signature: str, content: Mapping[str, Any], step: Any) -> None:
    """GateClosed unless a door asked for exactly these bytes, and the step is one of them that only reads."""
    if not keys.verify("plan", _statement(change, digest), signature):
        raise PlanUnsigned(f"The plan of {change} does not carry a true signature, so nothing of it starts.")
    if step not in content["steps"] or not only_reads(step):
        raise NotOnlyReading(
            f"The plan of {change} was about to start a step that is no plan step or does not only read."
        )


def only_reads(step: Mapping[str, Any]) -> bool:
    """Whether the bytes call it a plan step, and without any effect."""
    return step.get("phase") == PHASE and step.get("effect") == EFFECT


def document(
    *, run_id: UUID, change: str, digest: str, document_digest: str, environment: str, at: datetime,
    expires_at: datetime, size: int,
) -> dict[str, Json]:  # fmt: skip
    """What a plan's permit says: what it is for, and that nobody has agreed to anything."""
    return {
        "v": 1,
        "purpose": str(Permit.Purpose.PLAN),
        "run": str(run_id),
        "change": change,
        "digest": digest,
        "document_digest": document_digest,
        "chain": None,
        "sign_offs": [],
        "environment": environment,
        "issued_at": timestamp(at),
        "expires_at": timestamp(expires_at),
        "checkpoint_size": size,
    }


def _statement(change: str, digest: str) -> dict[str, str]:
    return {"change": change, "digest": digest}
