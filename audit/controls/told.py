"""One entry as control tests read it. Knows nothing of what they ask."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from audit.ledger.record import timestamp


@dataclass(frozen=True, slots=True)
class Told:
    """One entry: its place, its time, who acted, and its data."""

    index: int
    time: str
    kind: str
    stream: str
    subject: str
    actor: str
    data: dict[str, Any]


def days_after(time: str, days: int) -> str:
    """The moment so many days later, in the one spelling of the log."""
    return timestamp(datetime.fromisoformat(time) + timedelta(days=days))
