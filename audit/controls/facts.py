"""What the ledger says about changes, folded in one pass over its sealed bytes. Reads no table of the product."""

import gc
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from audit.controls.administration import ACTS, Administration
from audit.controls.directory import Directory
from audit.controls.keys import Keys
from audit.controls.log import Log, Seal
from audit.controls.premises import Premises
from audit.controls.reading import UNTOLD, Reader
from audit.controls.releases import Releases
from audit.controls.told import Told

PARSED = {
    "change", "chain", "sign_off", "permit", "run", "exception", "review", "account", "team", "membership",
    "delegation", "policy", "bundle", "environment", "step", "evidence", "deployment", "access_review", "archive",
    "service", "session", "token", "checkpoint", "gate",
}  # fmt: skip
DECIDED, VERIFIES = b'"decision":', b'"phase":"verify"'  # of steps, only what a person said and what verified
REFUSED = b"attempt.refused"
APPROVALS = ("approve", "approve_with_condition")
STATES = {
    "waiting", "sent_back", "approved", "scheduled", "running", "succeeded", "failed", "cancelled", "unknown",
    "rejected", "withdrawn", "expired", "superseded",
}  # fmt: skip
ENDS = {"succeeded", "failed", "cancelled"}  # of a run


@dataclass
class SignOff:
    """One person's decision, and where it was taken back."""

    given: Told
    withdrawn: Told | None = None

    @property
    def person(self) -> str:
        return str(self.given.data["person"])

    @property
    def persons(self) -> set[str]:
        """Whose decision it is: whoever gave it, and in whose place."""
        return {self.person, str(self.given.data.get("owner") or self.person)}

    def approves(self, digest: str, chain_digest: str) -> bool:
        """Whether it agrees to exactly this content under exactly this chain."""
        told = self.given.data
        said = (told["decision"] in APPROVALS, told["digest"], told["chain_digest"])
        return said == (True, digest, chain_digest)

    def stands_at(self, index: int) -> bool:
        """Whether it was given, and not yet taken back, before this place in the log."""
        return self.given.index < index and (self.withdrawn is None or self.withdrawn.index > index)


def _lists() -> dict[str, list[Told]]:
    return defaultdict(list)


@dataclass
class Facts:
    """Everything that control tests ask about."""

    revisions: dict[str, list[Told]] = field(default_factory=_lists)  # by change
    states: dict[str, list[Told]] = field(default_factory=_lists)  # by change
    chains: dict[str, Told] = field(default_factory=dict)  # as opened
    sign_offs: dict[str, list[SignOff]] = field(default_factory=lambda: defaultdict(list))  # by chain
    permits: dict[str, Told] = field(default_factory=dict)
    unsealed: dict[str, tuple[int, float | None]] = field(
        default_factory=dict
    )  # by permit: what no checkpoint covered, how many entries and for how many seconds
    starts: list[Told] = field(default_factory=list)  # of runs: the population
    started: dict[str, list[Told]] = field(default_factory=_lists)  # the same by change
    ends: dict[str, Told] = field(default_factory=dict)  # of these, by run
    verified: set[str] = field(default_factory=set)  # runs of which a step of verification succeeded
    exceptions: dict[str, Told] = field(default_factory=dict)  # as granted
    ended: dict[str, Told] = field(default_factory=dict)  # of these, early
    given: dict[str, SignOff] = field(default_factory=dict)  # by their own id
    directory: Directory = field(default_factory=Directory)
    keys: Keys = field(default_factory=Keys)
    premises: Premises = field(default_factory=Premises)
    administration: Administration = field(default_factory=Administration)
    releases: Releases = field(default_factory=Releases)
    asked: dict[str, list[Told]] = field(default_factory=_lists)  # to start, by change
    answers: dict[str, list[Told]] = field(default_factory=_lists)  # of people to steps, by run
    conclusions: dict[str, list[Told]] = field(default_factory=_lists)  # of reviews, by change
    log: Log = field(default_factory=Log)
    first_request: float = float("inf")  # where the first change was asked for

    @property
    def until(self) -> str:
        """When the newest entry was written."""
        return self.log.until

    def add(self, told: Told) -> None:
        """Take one entry in, in the order of the log."""
        data = told.data
        match told.kind:
            case "change.requested" | "change.revised":
                self.revisions[data["change"]].append(told)
                self.first_request = min(self.first_request, told.index)
            case "chain.opened":
                self.chains.setdefault(data["chain"], told)
            case "sign_off.given":
                self.given[told.stream] = one = SignOff(told)
                self.sign_offs[data["chain"]].append(one)
            case "sign_off.withdrawn" if told.stream in self.given:
                self.given[told.stream].withdrawn = told
            case "permit.issued":
                self._add_permit(told)
            case "run.running":
                self.starts.append(told)
                self.started[data["change"]].append(told)
            case "exception.ended":
                self.ended.setdefault(data["exception"], told)
            case _:
                self._add_deed(told)
        self._add_act(told)

    def _add_permit(self, told: Told) -> None:
        key, size = told.data["permit"], told.data["checkpoint_size"]
        self.permits.setdefault(key, told)
        self.unsealed.setdefault(key, (told.index - size, self.log.age(told.index, size)))

    def _add_deed(self, told: Told) -> None:
        """What somebody did, and what became of it."""
        data = told.data
        match told.kind.split(".", 1):
            case ["change", "start_asked"]:
                self.asked[data["change"]].append(told)
            case ["change", state] if state in STATES:
                self.states[data["change"]].append(told)
            case ["run", state] if state in ENDS:
                self._add_end(told)
            case ["step", _]:
                self._add_step(told)
            case ["review", "concluded" | "closed"]:
                self.conclusions[data["change"]].append(told)
            case ["account" | "team" | "membership" | "delegation" | "access_review", _]:
                self.directory.add(told)
            case ["session" | "token", _]:
                self.keys.add(told)
            case ["evidence" | "deployment", _]:
                self.releases.add(told)
            case _:
                self.premises.add(told)

    def _add_step(self, told: Told) -> None:
        if "decision" in told.data:
            self.answers[told.data["run"]].append(told)
        if told.data.get("phase") == "verify":
            self.verified.add(told.data["run"])

    def _add_end(self, told: Told) -> None:
        self.ends[told.data["run"]] = told
        asked = self.newest(told.data["change"], told.index)
        if told.kind == "run.succeeded" and "plan" not in told.data:
            self.releases.end(told, asked)

    def _add_act(self, told: Told) -> None:
        if told.kind in ACTS:
            self.administration.add(told)
        if told.kind == "exception.granted":
            self.exceptions.setdefault(told.data["exception"], told)

    def state_before(self, change: str, index: int) -> str | None:
        """The state of a change just before a place in the log."""
        earlier = [told for told in self.states.get(change, ()) if told.index < index]
        return earlier[-1].kind.removeprefix("change.") if earlier else None

    def newest(self, change: str, before: int) -> Told | None:
        """What was requested last, whatever its content."""
        found = [one for one in self.revisions.get(change, ()) if one.index < before]
        return found[-1] if found else None

    def revision(self, change: str, digest: str, before: int) -> Told | None:
        """The newest request of exactly this content."""
        found = [
            one
            for one in self.revisions.get(change, ())
            if one.data["digest"] == digest and one.index < before
        ]
        return found[-1] if found else None


def fold(numbered: Iterable[tuple[int, bytes | None]], seals: Iterable[Seal] = (), size: int = 0) -> Facts:
    """The facts of a log, given the sealed bytes of its entries by index, in order, and what was signed over them."""
    facts = Facts(log=Log(seals))
    with uncollected():
        _walk(facts, numbered)
    facts.log.end(size)
    return facts


def _walk(facts: Facts, numbered: Iterable[tuple[int, bytes | None]]) -> None:
    take, last, read = facts.log.take, facts.directory.last, Reader().read
    kinds: dict[bytes, str] = {}  # told or not: empty where nobody asks about it
    for index, body in numbered:
        line = take(index, body)
        if line is None:
            continue
        if line.kind != REFUSED:
            last[line.actor] = (index, line.time)
        kind = kinds.get(line.kind)
        if kind is None:
            kind = kinds[line.kind] = _told(line.kind.decode())
        if kind and (not kind.startswith("step.") or DECIDED in line.data or VERIFIES in line.data):
            try:
                told = read(index, kind, line)
            except ValueError:
                facts.log.blame("unreadable", index)
            else:
                facts.add(told)


@contextmanager
def uncollected() -> Iterator[None]:
    """Nothing here points in circles, and looking for such things among millions takes a third of the time."""
    collected = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collected:
            gc.enable()


def _told(kind: str) -> str:
    """The kind, if a control test asks about it."""
    asked = (
        kind in ACTS or kind == "ledger.behind" or (kind.partition(".")[0] in PARSED and kind not in UNTOLD)
    )
    return sys.intern(kind) if asked else ""
