"""What undoes a change: the rollback parts of the steps that ran, in reverse order. Pure.

They are taken from the signed bytes of what ran, to the letter. It must never put a value in again.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from orchestration.definitions.flow import MAX_TITLE, UNDO, values_told


@dataclass(frozen=True)
class Undo:
    """Which change is rolled back, the bytes that say how, and the steps that do it."""

    change_id: UUID
    change: str
    title: str
    digest: str
    document: Mapping[str, Any]
    steps: list[dict[str, Any]]

    @property
    def told(self) -> dict[str, str]:
        """As the document of the rollback says it."""
        return {"change": self.change, "digest": self.digest}


def rolled_back(document: Mapping[str, Any]) -> str | None:
    """The change that a document rolls back, by its key."""
    told = document.get("rolls_back")
    return str(told["change"]) if told else None


def steps(document: Mapping[str, Any], ran: Collection[str]) -> list[dict[str, Any]]:
    """What undoes the steps that ran: each after whatever had come behind it is undone."""
    planned = document["steps"]
    chosen = {step["key"] for step in planned if step["key"] in ran and "rollback" in step}
    behind: dict[str, list[str]] = {step["key"]: [] for step in planned}
    for step in planned:
        for need in step["needs"]:
            behind[need].append(step["key"])
    return [
        {
            **step["rollback"],
            **_matrix(step),
            "key": UNDO + step["key"],
            "title": _title(step),
            "needs": [UNDO + key for key in _next(step["key"], behind, chosen)],
        }
        for step in reversed(planned)
        if step["key"] in chosen
    ]


def _title(step: Mapping[str, Any]) -> str:
    """What its author called it; each member of a matrix tells its values."""
    title = step["rollback"]["title"] or f"Undo: {step['title'] or step['key']}"
    told = values_told(step.get("matrix", {}).get("values", {}).values())
    return (title if told in title else f"{title} ({told})")[:MAX_TITLE]


def _matrix(step: Mapping[str, Any]) -> dict[str, Any]:
    """What undoes a matrix is one too: as many at a time, and folded on a page."""
    matrix = step.get("matrix")
    return {"matrix": {**matrix, "step": UNDO + matrix["step"]}} if matrix else {}


def _next(key: str, behind: Mapping[str, list[str]], chosen: Collection[str]) -> list[str]:
    """The nearest of the chosen steps behind this one."""
    found, front = [], list(behind[key])
    seen = set(front)
    for one in front:
        if one in chosen:
            found.append(one)
            continue
        front += [later for later in behind[one] if later not in seen]
        seen.update(behind[one])
    return found
