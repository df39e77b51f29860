"""What follows for a run from the states of its steps and from what was signed about its way. A pure verdict.

Computed from scratch each time, so that a missed one heals. What a run may pass over, and which failure it may bear,
is read from the signed bytes, never from a row. It must never write anything.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestration.definitions import conditions, phases
from orchestration.definitions.conditions import Undecided
from orchestration.definitions.flow import MAX_STEPS
from orchestration.models import Run, Step

S, R = Step.State, Run.State
FAILED = {S.FAILED, S.TIMED_OUT}
MET = {S.SUCCEEDED, S.OMITTED}
_BROKEN = {*FAILED, S.CANCELLED, S.SKIPPED}
_NOT_STARTED = {S.BLOCKED, S.READY}
_TAKEN = {S.READY, S.RUNNING, S.UNKNOWN}
MAX_REASON = 500


@dataclass(frozen=True)
class Way:
    """What the signed bytes say about the way through a run."""

    facts: Mapping[str, Any] = field(default_factory=dict)  # by the name that a condition uses
    steps: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Way":
        places = {name: document[name]["slug"] for name in ("service", "environment")}
        facts = {**{f"inputs.{name}": value for name, value in document["inputs"].items()}, **places}
        return cls(facts, {step["key"]: step for step in document["steps"]})

    def says(self, key: str, word: str) -> Any:
        return self.steps.get(key, {}).get(word)

    @property
    def asks(self) -> bool:
        """Whether any step has a condition."""
        return any(step.get("when") for step in self.steps.values())

    def matrix(self, key: str) -> Mapping[str, Any]:
        """Of which matrix a step is a member, and with what values; empty for an ordinary step."""
        return self.says(key, "matrix") or {}

    def group(self, key: str) -> str:
        """Those among which `max_parallel` counts: a matrix, or the step alone."""
        return str(self.matrix(key).get("step", key))

    def most(self, key: str) -> int:
        return int(self.matrix(key).get("max_parallel", MAX_STEPS))

    def bears(self, step: Step) -> bool:
        """Whether this step failed and was signed as one that may."""
        return step.state in FAILED and bool(self.says(step.key, "continue_on_error"))


NO_WAY = Way()


@dataclass(frozen=True)
class Following:
    """What the states of the steps demand: of which steps, and of the run; in words, why."""

    ready: list[Step] = field(default_factory=list)
    omitted: list[Step] = field(default_factory=list)
    skipped: list[Step] = field(default_factory=list)
    cancelled: list[Step] = field(default_factory=list)
    run: Run.State | None = None
    reason: str = ""


def following(
    steps: Sequence[Step],
    *,
    cancelling: bool,
    way: Way = NO_WAY,
    outputs: Mapping[str, Mapping[str, Any]] | None = None,
) -> Following:
    """Stop at the first failure that nobody may bear, pause on the first unknown, end when nothing is left to run."""
    waiting = [step for step in steps if step.state in _NOT_STARTED]
    busy = any(step.state == S.RUNNING for step in steps)
    doubtful = any(step.state == S.UNKNOWN for step in steps)
    broken = [step for step in steps if step.state in _BROKEN and not way.bears(step)]
    if cancelling or broken:
        ended = R.UNKNOWN if doubtful else None if busy else _end(steps, cancelling=cancelling)
        reason = "" if cancelling else _why(broken, way)
        return Following(run=ended, reason=reason, **{"cancelled" if cancelling else "skipped": waiting})
    if doubtful:
        return Following(run=R.UNKNOWN)
    turns = Turns(steps, way, outputs or {})
    try:
        turns.take()
    except Undecided as fault:
        return Following(skipped=waiting, run=None if busy else R.FAILED, reason=str(fault)[:MAX_REASON])
    done = not busy and len(turns.omitted) == len(waiting)
    return Following(
        ready=turns.ready,
        omitted=turns.omitted,
        run=R.SUCCEEDED if done else None,
        reason=_borne(steps, way) if done else "",
    )


def first(document: Mapping[str, Any], *, planning: bool = False) -> Following:
    """What a run, or that of its plan, begins with. `run` says that it would end without having done anything, or could
    not begin."""
    mine = [step for step in document["steps"] if phases.is_plan(step) == planning]
    keys = {step["key"] for step in mine}
    steps = [
        Step(key=step["key"], needs=[one for one in step.get("needs", []) if one in keys], state=S.BLOCKED)
        for step in mine
    ]
    return following(steps, cancelling=False, way=Way.of(document))


def foreseen(document: Mapping[str, Any]) -> set[str]:
    """The steps that will be passed over whatever happens: inputs alone decide it. Undecided where they cannot."""
    turns = Turns([], Way.of(document), {})
    asking = {step["key"]: step["when"] for step in document["steps"] if step.get("when")}
    alone = [key for key, when in asking.items() if "outputs." not in when and "states." not in when]
    return {key for key in alone if not turns.holds(key)} | {step.key for step in first(document).omitted}


class Turns:
    """Whose turn has come: what a step needs is met, its condition holds, and its matrix has a place for it."""

    def __init__(self, steps: Sequence[Step], way: Way, outputs: Mapping[str, Mapping[str, Any]]) -> None:
        self.steps, self.way, self.outputs = steps, way, outputs
        self.met = {step.key for step in steps if step.state in MET or way.bears(step)}
        self.taken = Counter(way.group(step.key) for step in steps if step.state in _TAKEN)
        self.ready: list[Step] = []
        self.omitted: list[Step] = []
        self.known: dict[str, tuple[str, Any]] = {}
        if way.asks:
            for step in steps:
                self._tell(step.key, S(step.state))

    def take(self) -> None:
        """In rounds, for what is omitted may let another one come."""
        waiting = [step for step in self.steps if step.state == S.BLOCKED]
        while True:
            left = [step for step in waiting if not self._take(step)]
            if len(left) == len(waiting):
                return
            waiting = left

    def _take(self, step: Step) -> bool:
        if not self.met.issuperset(step.needs):
            return False
        if not self.holds(step.key):
            self.omitted.append(step)
            self.met.add(step.key)
            self._tell(step.key, S.OMITTED)
            return True
        group = self.way.group(step.key)
        if self.taken[group] >= self.way.most(step.key):
            return False
        self.taken[group] += 1
        self.ready.append(step)
        return True

    def holds(self, key: str) -> bool:
        """Whether the step has no condition, or one that is true."""
        text = self.way.says(key, "when")
        if not text:
            return True
        own = {f"matrix.{axis}": value for axis, value in self.way.matrix(key).get("values", {}).items()}
        told = {name: (conditions.kind(value), value) for name, value in {**self.way.facts, **own}.items()}
        try:
            return conditions.holds(text, {**self.known, **told})
        except Undecided as fault:
            raise Undecided(f"the condition of {key} could not be decided: {fault}") from None

    def _tell(self, key: str, state: Step.State) -> None:
        """What became of a step, as a condition reads it; of a matrix, by its members."""
        outputs, group = dict(self.outputs.get(key, {})), self.way.matrix(key).get("step")
        name = conditions.name(group or key)
        if group is None:
            self.known |= {f"outputs.{name}": ("outputs", outputs), f"states.{name}": ("string", str(state))}
            return
        member = key.removeprefix(f"{group}.")
        self.known.setdefault(f"outputs.{name}", ("each outputs", {}))[1][member] = outputs
        self.known.setdefault(f"states.{name}", ("each state", {}))[1][member] = str(state)


def _end(steps: Iterable[Step], *, cancelling: bool) -> Run.State:
    if all(step.state in MET for step in steps):
        return R.SUCCEEDED  # everything had run before the cancellation could stop it
    return R.CANCELLED if cancelling else R.FAILED


def _why(broken: Sequence[Step], way: Way) -> str:
    """What stopped the run, in words: the failures themselves, or what a skipped step was told."""
    failed = [step for step in broken if step.state in FAILED]
    if not failed:
        return next((step.reason for step in broken if step.reason), "")
    verifying = all(way.says(step.key, "phase") == "verify" for step in failed)
    said = " and ".join(f"{step.key} {step.state.replace('_', ' ')}" for step in failed[:3])
    return f"verification failed: {said}"[:MAX_REASON] if verifying else said


def _borne(steps: Iterable[Step], way: Way) -> str:
    """Which failures did not stop it."""
    borne = [step.key for step in steps if way.bears(step)]
    more = f" and {len(borne) - 5} more" if len(borne) > 5 else ""
    return f"{', '.join(borne[:5])}{more} failed, which was allowed" if borne else ""
