"""What the ledger says about changes, folded in one pass over its sealed bytes. Reads no table of the product."""

import json
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from audit.controls.directory import Directory
from audit.controls.told import Told

TOLD = re.compile(
    rb'"type":"(?:change|chain|sign_off|permit|run|exception|review|account|team|membership|delegation)\.'
)
STEP, DECIDED = b'"type":"step.', b'"decision":'  # of steps, only what a person said
APPROVALS = ("approve", "approve_with_condition")
STATES = {
    "waiting", "sent_back", "approved", "scheduled", "running", "succeeded", "failed", "cancelled", "unknown",
    "rejected", "withdrawn", "expired", "superseded",
}  # fmt: skip


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


@dataclass
class Facts:
    """Everything that control tests ask about."""

    revisions: dict[str, list[Told]] = field(default_factory=lambda: defaultdict(list))  # by change
    states: dict[str, list[Told]] = field(default_factory=lambda: defaultdict(list))  # by change
    chains: dict[str, Told] = field(default_factory=dict)  # as opened
    sign_offs: dict[str, list[SignOff]] = field(default_factory=lambda: defaultdict(list))  # by chain
    permits: dict[str, Told] = field(default_factory=dict)
    starts: list[Told] = field(default_factory=list)  # of runs: the population
    exceptions: dict[str, Told] = field(default_factory=dict)  # as granted
    ended: dict[str, Told] = field(default_factory=dict)  # of these, early
    given: dict[str, SignOff] = field(default_factory=dict)  # by their own id
    directory: Directory = field(default_factory=Directory)
    asked: dict[str, list[Told]] = field(default_factory=lambda: defaultdict(list))  # to start, by change
    answers: dict[str, list[Told]] = field(
        default_factory=lambda: defaultdict(list)
    )  # of people to steps, by run
    conclusions: dict[str, list[Told]] = field(
        default_factory=lambda: defaultdict(list)
    )  # of reviews, by change
    until: str = ""  # when the newest entry was written

    def add(self, told: Told) -> None:
        """Take one entry in, in the order of the log."""
        data = told.data
        match told.kind:
            case "change.requested" | "change.revised":
                self.revisions[data["change"]].append(told)
            case "chain.opened":
                self.chains.setdefault(data["chain"], told)
            case "sign_off.given":
                self.given[told.stream] = one = SignOff(told)
                self.sign_offs[data["chain"]].append(one)
            case "sign_off.withdrawn" if told.stream in self.given:
                self.given[told.stream].withdrawn = told
            case "permit.issued":
                self.permits.setdefault(data["permit"], told)
            case "run.running":
                self.starts.append(told)
            case "exception.granted":
                self.exceptions.setdefault(data["exception"], told)
            case "exception.ended":
                self.ended.setdefault(data["exception"], told)
            case _:
                self._add_deed(told)

    def _add_deed(self, told: Told) -> None:
        """What somebody did, and what became of it."""
        data = told.data
        match told.kind.split(".", 1):
            case ["change", "start_asked"]:
                self.asked[data["change"]].append(told)
            case ["change", state] if state in STATES:
                self.states[data["change"]].append(told)
            case ["step", _]:
                self.answers[data["run"]].append(told)
            case ["review", "concluded" | "closed"]:
                self.conclusions[data["change"]].append(told)
            case _:
                self.directory.add(told)

    def state_before(self, change: str, index: int) -> str | None:
        """The state of a change just before a place in the log."""
        earlier = [told for told in self.states[change] if told.index < index]
        return earlier[-1].kind.removeprefix("change.") if earlier else None

    def newest(self, change: str, before: int) -> Told | None:
        """What was requested last, whatever its content."""
        found = [one for one in self.revisions[change] if one.index < before]
        return found[-1] if found else None

    def revision(self, change: str, digest: str, before: int) -> Told | None:
        """The newest request of exactly this content."""
        found = [one for one in self.revisions[change] if one.data["digest"] == digest and one.index < before]
        return found[-1] if found else None


def fold(bodies: Iterable[bytes]) -> Facts:
    """The facts of a log, given the sealed bytes of its entries in order."""
    facts, body = Facts(), b""
    for index, body in enumerate(bodies):
        if TOLD.search(body) or (STEP in body and DECIDED in body):
            said = json.loads(body)
            place = (index, said["time"], said["type"], said["stream"], said["subject"])
            facts.add(Told(*place, said["actor"]["id"], said["data"]))
    facts.until = str(json.loads(body)["time"]) if body else ""
    return facts
