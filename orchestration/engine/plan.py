"""Reads the steps out of a revision's or a plan's canonical bytes: the only thing that decides what will run.

The rows of a run are made from it and compared with it at each start; a row edited in the database
therefore stops a run, and never makes it do something else. The document names them under `steps`:

    {"key", "uses", "with", "needs", "effect", "timeout_seconds", "retries", "retry_exit_codes", "files", "title"}

and, of some, `phase`, `check` and `limits`. A plan runs its plan steps, a revision all others: what a plan found is
over when something is agreed to.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from audit.refusals import Refusal
from orchestration.definitions import phases
from orchestration.models import Plan, Revision, Run, Step

Source = Revision | Plan


class StepAltered(Refusal):
    """The row of a step is not what was signed off."""

    code = "step_altered"


REPEATABLE = frozenset({"read_only", "idempotent", "reconcilable"})
LOSSES = 3  # workers that may vanish under one step before a person is asked
DEFAULT_TIMEOUT_SECONDS = 3600


@dataclass(frozen=True)
class Planned:
    """One step, as it was signed off, or as a plan was asked for."""

    position: int
    spec: dict[str, Any]
    secrets: Sequence[dict[str, Any]] = ()  # of the document's `secrets`, those of this step
    over: frozenset[str] = field(default_factory=frozenset)  # keys of the steps of an earlier phase

    @property
    def key(self) -> str:
        return str(self.spec["key"])

    @property
    def effect(self) -> str:
        return str(self.spec.get("effect", "at_most_once"))

    @property
    def timeout_seconds(self) -> int:
        return int(self.spec.get("timeout_seconds", DEFAULT_TIMEOUT_SECONDS))

    @property
    def retries(self) -> int:
        """How often a failure may be tried again."""
        return int(self.spec.get("retries", 0))

    @property
    def retry_exit_codes(self) -> list[int]:
        return list(self.spec.get("retry_exit_codes", []))

    @property
    def check(self) -> dict[str, Any] | None:
        """How to find out whether it has happened, where that can be asked; empty where its action itself can tell."""
        return dict(self.spec.get("check", {})) if self.effect == "reconcilable" else None

    @property
    def max_attempts(self) -> int:
        """Failures tried again, and vanished workers where repeating is declared safe."""
        return 1 + self.retries + (LOSSES if self.effect in REPEATABLE else 0)

    @property
    def columns(self) -> dict[str, Any]:
        """What the row of this step says beside its spec; must equal the row at every start."""
        return {
            "position": self.position,
            "uses": self.spec["uses"],
            "needs": [key for key in self.spec.get("needs", []) if key not in self.over],
            "effect": self.effect,
            "title": self.spec.get("title", ""),
        }

    def agrees_with(self, step: Step) -> bool:
        """Whether the row still says what was signed off."""
        same = all(getattr(step, name) == value for name, value in self.columns.items())
        return same and step.spec == self.spec


def source_of(run: Run) -> Source:
    """What a run was made from."""
    source = run.revision or run.plan
    if source is None:  # a CHECK of the database says that there is one
        raise StepAltered(f"{run.key} was made from nothing; nothing follows.")
    return source


def planned(source: Source, *, only: str = "") -> list[Planned]:
    """The steps of a revision or of a plan, in their order; or the one that is called so."""
    steps, secrets = source.content["steps"], source.content.get("secrets", [])
    plans = frozenset(spec["key"] for spec in steps if phases.is_plan(spec))
    mine = plans if isinstance(source, Plan) else {spec["key"] for spec in steps} - plans
    return [
        Planned(position, spec, [one for one in secrets if one["step"] == spec["key"]], plans - mine)
        for position, spec in enumerate(steps)
        if spec["key"] in mine and only in {"", spec["key"]}
    ]


def step_of(source: Source, step: Step) -> Planned:
    """What was signed off for this row; refuses a row that says something else."""
    for one in planned(source, only=step.key):
        if one.agrees_with(step):
            return one
    raise StepAltered(f"{step.key} is not the step that was signed off; it was not started. Request it anew.")
