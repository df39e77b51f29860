"""What may become of one change, in sets and numbers alone: what the product does is held against it.

Knows no database, no policy and no HTTP. Written from the rules that are promised: who asked never counts, nor whoever
stands in for them; a person and a place count once; a later stage counts what came after the earlier; two people in an
emergency.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

REQUESTER = "mara"
BEFORE_START = {"waiting", "sent_back", "approved"}
OPEN = {"waiting", "approved"}
REVIEWED = {"succeeded", "cancelled", "expired"}  # an emergency that is over, however
OVER = {*REVIEWED, "rejected", "withdrawn"}
ENDS = {"reject": "rejected", "send_back": "sent_back"}
Act = tuple[str, tuple[object, ...]]  # the name of a method of the model, and what it is given


class Rank(NamedTuple):
    """One stage as policy asks it."""

    order: int
    quorum: int


class Lent(NamedTuple):
    """Who is away, and who decides for them; numbered, as the same two may do it again."""

    owner: str
    to: str
    number: int


class Place(NamedTuple):
    """From where somebody decides: their own place, or one that was lent to them."""

    who: str
    owner: str
    lent: int


class Vote(NamedTuple):
    """An approval: from which place, of which stage, in which order it was given."""

    place: Place
    stage: str
    moment: int

    @property
    def persons(self) -> set[str]:
        return {self.place.who, self.place.owner}


@dataclass(frozen=True)
class People:
    """Who is in which team now, who decides for whom, and who was switched off."""

    teams: dict[str, frozenset[str]]
    away: frozenset[Lent] = frozenset()
    off: frozenset[str] = frozenset()

    @property
    def never(self) -> set[str]:
        """I6: who asked, and who stands in for them."""
        return {REQUESTER, *(one.to for one in self.away if one.owner == REQUESTER)}

    def places(self, stage: str) -> set[Place]:
        members = self.teams[stage] - self.off
        own = {Place(one, one, 0) for one in members}
        lent = {Place(one.to, one.owner, one.number) for one in self.away if one.owner in members}
        return {
            one for one in own | lent if one.who not in self.off and not self.never & {one.who, one.owner}
        }

    def answerable(self, ranks: dict[str, Rank]) -> bool:
        """Whether as many could answer as are asked: whoever stands in adds none."""
        return all(
            min(len({one.who for one in places}), len({one.owner for one in places})) >= ranks[stage].quorum
            for stage in ranks
            for places in [self.places(stage)]
        )

    def without(self, who: str) -> "People":
        return replace(self, teams={stage: members - {who} for stage, members in self.teams.items()})

    def joined(self, who: str, stages: tuple[str, ...]) -> "People":
        joins = {
            stage: members | {who} if stage in stages else members for stage, members in self.teams.items()
        }
        return replace(self, teams=joins)

    def switched_off(self, who: str) -> "People":
        """Its memberships end with the account."""
        return replace(self.without(who), off=self.off | {who})

    def lend(self, owner: str, to: str, number: int) -> tuple[bool, "People"]:
        """Depth one and no cycle: nobody is away and decides for somebody in the same time."""
        sides = {one.owner for one in self.away}, {one.to for one in self.away}
        free = owner not in sides[0] | sides[1] and to not in sides[0]
        if owner == to or {owner, to} & self.off or not free:
            return False, self
        return True, replace(self, away=self.away | {Lent(owner, to, number)})

    def back(self, owner: str) -> "People":
        return replace(self, away=frozenset(one for one in self.away if one.owner != owner))


@dataclass(frozen=True)
class Model:
    """One change. Each act answers whether it is done, and the change after it; what is refused changes nothing."""

    people: People
    ranks: dict[str, Rank]
    emergency: bool = False
    state: str = "waiting"
    revision: int = 1
    votes: frozenset[Vote] = frozenset()  # of this revision
    expired: bool = False
    frozen: bool = False
    stopping: bool = False
    starts: int = 0
    part: frozenset[str] = frozenset({REQUESTER})  # whoever took part in it, now or before
    concluded: frozenset[str] = frozenset()

    @property
    def standing(self) -> list[Vote]:
        """I1: whoever gave it may give it still, from the very same place."""
        return [one for one in self.votes if one.place in self.people.places(one.stage)]

    def done(self) -> set[str]:
        """The stages that have what they ask for; of a later order only what came after the earlier ones."""
        done: set[str] = set()
        after = 0
        for order in sorted({rank.order for rank in self.ranks.values()}):
            reached: list[tuple[str, int]] = []
            for stage, rank in self.ranks.items():
                if rank.order == order:
                    moments = sorted(one.moment for one in self.standing if one.stage == stage)
                    moments = [one for one in moments if one > after]
                    if len(moments) < rank.quorum:
                        return done | {one for one, _ in reached}
                    reached.append((stage, moments[rank.quorum - 1]))
            done |= {one for one, _ in reached}
            after = max(moment for _, moment in reached)
        return done

    @property
    def complete(self) -> bool:
        """I1, I6, I7: each stage, by people of whom no two are one, or stand in for one another."""
        counted = [person for one in self.votes for person in one.persons]
        assert len(counted) == len(set(counted)), "somebody counts twice"
        return self.done() == set(self.ranks)

    def decide(self, who: str, stage: str, said: str, seen: int | None = None) -> tuple[bool, "Model"]:
        """I3: on the revision that was seen; I8: only while the change asks."""
        place = self._free(who, stage)
        waits = self.state == "waiting" and not self.expired and seen in {None, self.revision}
        if not waits or place is None or not self._open(stage):
            return False, self
        spoke = replace(self, part=self.part | {place.who, place.owner})
        if said != "approve":
            return True, replace(spoke, state=ENDS[said])
        moment = 1 + max((one.moment for one in self.votes), default=0)
        voted = replace(spoke, votes=self.votes | {Vote(place, stage, moment)})
        return True, replace(voted, state="approved" if voted.complete else "waiting")

    def _free(self, who: str, stage: str) -> Place | None:
        """Of this person's places one that nobody has used who counts as the same: their own, else by name."""
        used = {person for one in self.votes for person in one.persons}
        mine = [
            one for one in self.people.places(stage) if one.who == who and not {one.who, one.owner} & used
        ]
        return min(mine, key=lambda one: (one.lent > 0, one.owner), default=None)

    def _open(self, stage: str) -> bool:
        earlier = {one for one, rank in self.ranks.items() if rank.order < self.ranks[stage].order}
        return earlier <= self.done()

    def take_back(self, who: str, seen: int | None = None) -> tuple[bool, "Model"]:
        """I8: until the start. Whoever left may still take back what they said."""
        mine = {one for one in self.votes if one.place.who == who}
        if self.state not in OPEN or not mine or seen not in {None, self.revision}:
            return False, self
        left = replace(self, votes=self.votes - mine)
        return True, replace(left, state="approved" if left.complete else "waiting")

    def edit(self, seen: int | None = None) -> tuple[bool, "Model"]:
        """I3: whatever was said is void. Nothing is asked where too few could answer."""
        answerable = self.people.answerable(self.ranks)
        if self.state not in BEFORE_START or not answerable or seen not in {None, self.revision}:
            return False, self
        anew = replace(self, state="waiting", revision=self.revision + 1, votes=frozenset(), expired=False)
        return True, anew

    def withdraw(self) -> tuple[bool, "Model"]:
        done = self.state in BEFORE_START
        return done, replace(self, state="withdrawn") if done else self

    def cancel(self) -> tuple[bool, "Model"]:
        """What was agreed to is over before it began; what runs ends with what it does now. Twice is as once."""
        if self.state == "running":
            return True, replace(self, stopping=True)
        done = self.state == "approved"
        return done, replace(self, state="cancelled") if done else self

    def start(self) -> tuple[bool, "Model"]:
        """I1, I4: the gate. I9: once. I14: an emergency goes through a freeze, with two others who agreed."""
        frozen = self.frozen and not self.emergency
        if self.state != "approved" or not self.complete or frozen or self.expired:
            return False, self
        assert not self.emergency or len({one.place.who for one in self.standing}) >= 2
        return True, replace(self, state="running", starts=self.starts + 1)

    def finish(self) -> tuple[bool, "Model"]:
        done = self.state == "running"
        return done, replace(self, state="succeeded") if done else self

    def conclude(self, who: str) -> tuple[bool, "Model"]:
        """I14: two people who took no part, nor stand in for one who did, close the review; no third speaks in it."""
        part = self.part | {one.to for one in self.people.away if one.owner in self.part}
        if not self.reviewed or who in part | self.concluded | self.people.off or len(self.concluded) == 2:
            return False, self
        return True, replace(self, concluded=self.concluded | {who})

    @property
    def reviewed(self) -> bool:
        return self.emergency and self.state in REVIEWED

    def sweep(self) -> "Model":
        """What the clock does: who left is asked after anew, and what waited too long is over."""
        lapsed = self.state == "approved" and not self.complete
        asked = replace(self, state="waiting") if lapsed else self
        return replace(asked, state="expired") if asked.expired and asked.state in BEFORE_START else asked

    def leave(self, who: str) -> tuple[bool, "Model"]:
        done = any(who in members for members in self.people.teams.values())
        return done, replace(self, people=self.people.without(who))

    def come_back(self, who: str, *stages: str) -> tuple[bool, "Model"]:
        done = not all(who in self.people.teams[stage] for stage in stages)
        return done, replace(self, people=self.people.joined(who, stages))

    def lend(self, owner: str, to: str, number: int) -> tuple[bool, "Model"]:
        done, people = self.people.lend(owner, to, number)
        return done, replace(self, people=people)

    def back(self, owner: str) -> tuple[bool, "Model"]:
        away = any(one.owner == owner for one in self.people.away)
        return away, replace(self, people=self.people.back(owner))


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
