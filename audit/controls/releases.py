"""What was put where: the artifacts that changes name, evidence for them, and what observers saw running."""

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass, field

from audit.controls.told import Told

Place = tuple[str | None, str]  # service and environment


def _lists() -> dict[str, list[Told]]:
    return defaultdict(list)


@dataclass
class Releases:
    """What the ledger says about them."""

    ended: dict[Place, list[tuple[Told, frozenset[str]]]] = field(
        default_factory=lambda: defaultdict(list)
    )  # runs that succeeded, with what they put there
    put: dict[tuple[Place, str], int] = field(default_factory=dict)  # where each artifact was first put there
    observed: dict[Place, list[Told]] = field(default_factory=lambda: defaultdict(list))
    evidence: dict[str, list[Told]] = field(default_factory=_lists)  # by change
    gone: set[tuple[str, str]] = field(default_factory=set)  # change and digest of files that were removed

    def add(self, told: Told) -> None:
        """Take one entry in, in the order of the log."""
        match told.kind:
            case "deployment.observed":
                self.observed[told.data["service"], told.data["environment"]].append(told)
            case "evidence.attached":
                self.evidence[told.data["change"]].append(told)
            case "evidence.removed":
                self.gone.add((told.data["change"], told.data["evidence_digest"]))

    def end(self, told: Told, asked: Told | None) -> None:
        """A run succeeded that had been asked for."""
        data = asked.data if asked else {}
        place = (data.get("service"), told.data["environment"])
        artifacts = frozenset(data.get("artifacts", ()))
        self.ended[place].append((told, artifacts))
        for one in artifacts:
            self.put.setdefault((place, one), told.index)

    def is_gone(self, told: Told) -> bool:
        """Whether what this piece of evidence was lies nowhere any more."""
        return bool(self.gone) and (told.data["change"], told.data["evidence_digest"]) in self.gone

    def put_before(self, artifact: str, place: Place, index: int) -> bool:
        """Whether a run had put it there by then."""
        return self.put.get((place, artifact), index) < index

    def next_success(self, place: Place, index: int) -> Told | None:
        """The first run that succeeded there behind a place in the log."""
        some = self.ended.get(place, [])
        at = bisect_right(some, index, key=lambda one: one[0].index)
        return some[at][0] if at < len(some) else None
