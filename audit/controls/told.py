"""One entry as control tests read it. Knows nothing of what they ask."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Told:
    """One entry: its place, its time, who acted, and its data."""

    index: int
    time: str
    kind: str
    stream: str
    subject: str
    actor: str
    data: dict[str, Any]
