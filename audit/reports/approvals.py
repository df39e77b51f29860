"""The approvals that an execution rested on, each as a signature has to be told: who, when, what it meant, how."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from audit.controls.facts import SignOff

MEANINGS = {"approve": "approved", "approve_with_condition": "approved with a condition"}


@dataclass(frozen=True)
class Approval:
    """One of them."""

    actor: str
    person: str
    meaning: str
    stage: str
    time: str
    factors: str
    index: int
    instead_of: str  # the person in whose place it was given, or nothing


def approvals(given: Mapping[int, SignOff], row: Mapping[str, Any]) -> list[Approval]:
    """Those that a row of evidence counts, in the order of the log; `given` has every sign-off by its place."""
    places = sorted(row.get("approval_indexes") or ())
    return [_told(given[place]) for place in places if place in given]


def _told(one: SignOff) -> Approval:
    told, data = one.given, one.given.data
    owner = str(data.get("owner") or "")
    return Approval(
        actor=told.actor, person=one.person, meaning=MEANINGS.get(data["decision"], str(data["decision"])),
        stage=str(data.get("stage_name") or data.get("stage") or ""), time=told.time,
        factors="session and passkey" if data.get("passkey") else "session", index=told.index,
        instead_of=owner if owner != one.person else "",
    )  # fmt: skip
