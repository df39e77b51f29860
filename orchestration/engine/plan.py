"""Reads the steps out of a revision's canonical bytes: the only thing that decides what will run.

The rows of a run are made from it and compared with it at each start; a row edited in the database
therefore stops a run, and never makes it do something else.
"""

from dataclasses import dataclass, field
from typing import Any

from audit.canonical import parse
from audit.refusals import Refusal
from orchestration.models import Revision, Step


class StepAltered(Refusal):
    """The row of a step is not what was signed off."""

    code = "step_altered"


@dataclass(frozen=True)
class Planned:
    """One step, as it was signed off."""

    key: str
    position: int
    spec: dict[str, Any]
    columns: dict[str, Any] = field(default_factory=dict)

    def agrees_with(self, step: Step) -> bool:
        """Whether the row still says what was signed off."""
        same = all(getattr(step, name) == value for name, value in self.columns.items())
        return same and step.spec == self.spec


def planned(revision: Revision) -> list[Planned]:
    """The steps of a revision, in their order."""
    document = parse(bytes(revision.document))
    return [_planned(position, spec) for position, spec in enumerate(document["steps"])]


def step_of(revision: Revision, step: Step) -> Planned:
    """What was signed off for this row; refuses a row that says something else."""
    for one in planned(revision):
        if one.key == step.key and one.agrees_with(step):
            return one
    raise StepAltered(f"{step.key} is not the step that was signed off; it was not started. Request it anew.")


def _planned(position: int, spec: dict[str, Any]) -> Planned:
    columns = {
        "uses": spec["uses"],
        "needs": spec.get("needs", []),
        "effect": spec.get("effect", "at_most_once"),
        "title": spec.get("title", ""),
    }
    return Planned(key=spec["key"], position=position, spec=spec, columns=columns)
