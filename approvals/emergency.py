"""What holds for an emergency whatever policy says: two people, one hour. Pure.

It must never make anything easier than policy does: it shortens a chain's life, and refuses a chain of one person.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta
from typing import Any, Protocol
from uuid import UUID

from audit.refusals import Refusal

MIN_PERSONS = 2  # besides the requester, who never counts
LIFETIME = timedelta(hours=1)  # of the chain, and again of the permit


class Given(Protocol):
    """What is counted of a sign-off."""

    @property
    def person_id(self) -> Any: ...
    @property
    def approves(self) -> bool: ...


class TooFewForEmergency(Refusal):
    """Policy asks fewer people than an emergency always needs."""

    code = "too_few_for_emergency"


def lifetime(demands: Iterable[Mapping[str, Any]], *, emergency: bool) -> timedelta:
    """How long the sign-offs for these demands hold: the shortest that policy says, in an emergency an hour at most."""
    said = timedelta(seconds=min(demand["expires_in"] for demand in demands))
    return min(said, LIFETIME) if emergency else said


def check_demands(demands: Collection[Mapping[str, Any]]) -> None:
    """How many different people these demands cannot do without: one may sign each stage that allows it."""
    shared = [demand["quorum"] for demand in demands if demand.get("distinct") == "stage"]
    asked = sum(demand["quorum"] for demand in demands) - sum(shared) + max(shared, default=0)
    if asked < MIN_PERSONS:
        rules = ", ".join(demand["why"]["rule"] for demand in demands)
        raise TooFewForEmergency(
            f"Nothing was sent. An emergency needs {MIN_PERSONS} people besides its requester, but the policy asks"
            f" {asked} (rule {rules}). Request a normal change, or ask for a rule for emergencies."
        )


def persons(sign_offs: Iterable[Given], *, conflicted: Collection[UUID]) -> int:
    """How many different people agreed."""
    return len({one.person_id for one in sign_offs if one.approves} - set(conflicted))
