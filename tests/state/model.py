"""What may become of one change, in sets and numbers alone: what the product does is held against it.

Knows no database, no policy and no HTTP. Two stages of one order, one person each; whoever asked never counts.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

BEFORE_START = {"waiting", "sent_back", "approved"}
OPEN = {"waiting", "approved"}
OVER = {"rejected", "withdrawn", "expired", "succeeded"}
Act = tuple[str, tuple[object, ...]]  # the name of a method of the model, and what it is given


@dataclass(frozen=True)
class People:
    """Who is in which team now. Who left or was switched off is in none."""

    stages: dict[str, frozenset[str]]

    def may(self, who: str) -> str | None:
        """The stage that this person may decide."""
        return next((stage for stage, members in self.stages.items() if who in members), None)

    def without(self, who: str) -> "People":
        return People({stage: members - {who} for stage, members in self.stages.items()})

    def joined(self, who: str, stage: str) -> "People":
        return People({**self.stages, stage: self.stages[stage] | {who}})


@dataclass(frozen=True)
class Model:
    """One change. Each act answers whether it is done, and the change after it; what is refused changes nothing."""

    people: People
    state: str = "waiting"
    revision: int = 1
    votes: frozenset[tuple[str, str]] = field(default_factory=frozenset)  # who, stage: of this revision
    expired: bool = False
    frozen: bool = False
    starts: int = 0

    @property
    def complete(self) -> bool:
        """I1, I6, I7: each stage has somebody who agreed to this revision and may still decide it."""
        standing = {stage for who, stage in self.votes if who in self.people.stages[stage]}
        return standing == set(self.people.stages)

    def decide(self, who: str, said: str, seen: int | None = None) -> tuple[bool, "Model"]:
        """I3: on the revision that was seen; I8: only while the change asks."""
        stage = self.people.may(who)
        current = seen in {None, self.revision}
        if self.state != "waiting" or not current or stage is None or self.expired or self.has_voted(who):
            return False, self
        if said != "approve":
            return True, replace(self, state={"reject": "rejected", "send_back": "sent_back"}[said])
        voted = replace(self, votes=self.votes | {(who, stage)})
        return True, replace(voted, state="approved" if voted.complete else "waiting")

    def has_voted(self, who: str) -> bool:
        return any(one == who for one, _ in self.votes)

    def take_back(self, who: str, seen: int | None = None) -> tuple[bool, "Model"]:
        """I8: until the start. Whoever left may still take back what they said."""
        if self.state not in OPEN or not self.has_voted(who) or seen not in {None, self.revision}:
            return False, self
        left = replace(self, votes=frozenset(one for one in self.votes if one[0] != who))
        return True, replace(left, state="approved" if left.complete else "waiting")

    def edit(self, seen: int | None = None) -> tuple[bool, "Model"]:
        """I3: whatever was said is void. Nothing is asked where nobody could answer."""
        answerable = all(self.people.stages.values())
        if self.state not in BEFORE_START or not answerable or seen not in {None, self.revision}:
            return False, self
        anew = replace(self, state="waiting", revision=self.revision + 1, votes=frozenset(), expired=False)
        return True, anew

    def withdraw(self) -> tuple[bool, "Model"]:
        done = self.state in BEFORE_START
        return done, replace(self, state="withdrawn") if done else self

    def start(self) -> tuple[bool, "Model"]:
        """I1, I4: the gate. I9: once."""
        if self.state != "approved" or not self.complete or self.frozen or self.expired:
            return False, self
        return True, replace(self, state="running", starts=self.starts + 1)

    def finish(self) -> tuple[bool, "Model"]:
        done = self.state == "running"
        return done, replace(self, state="succeeded") if done else self

    def sweep(self) -> "Model":
        """What the clock does: who left is asked after anew, and what waited too long is over."""
        lapsed = self.state == "approved" and not self.complete
        asked = replace(self, state="waiting") if lapsed else self
        return replace(asked, state="expired") if asked.expired and asked.state in OPEN else asked


def orders(model: Model, one: Act, other: Act) -> list[tuple[tuple[bool, bool], Model]]:
    """What two acts may come to, whichever came first: whether each was done, and the change after both."""
    swapped = [((second, first), end) for (first, second), end in _in_order(model, other, one)]
    return [*_in_order(model, one, other), *swapped]


def _in_order(model: Model, one: Act, other: Act) -> Iterator[tuple[tuple[bool, bool], Model]]:
    done, after = getattr(model, one[0])(*one[1])
    also, end = getattr(after, other[0])(*other[1])
    yield (done, also), end
    if done and other[0] == "edit":
        yield (True, False), after  # it names the version that was read, and that may be older by now
