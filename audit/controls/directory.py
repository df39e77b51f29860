"""Who was active, in which team, and in whose place, at a place in the log: as accounts, teams and delegations tell.

It must never ask the tables of the product: those say how it is now, not how it was.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from audit.controls.told import Told

TEAM = "team:"


@dataclass
class Directory:
    """What the ledger says about people."""

    people: dict[str, str] = field(default_factory=dict)  # account -> person
    gone: dict[str, int] = field(default_factory=dict)  # account -> where it was switched off, for good
    leavers: list[Told] = field(default_factory=list)  # the same, as told
    last: dict[bytes, tuple[int, bytes]] = field(default_factory=dict)  # what each did last: where, and when
    teams: dict[str, str] = field(default_factory=dict)  # slug -> id
    made: dict[str, Told] = field(default_factory=dict)  # the same, as told
    synced: set[str] = field(default_factory=set)  # teams of which a directory tells who is in them
    members: dict[tuple[str, str], list[Told]] = field(default_factory=lambda: defaultdict(list))
    lent: dict[str, Told] = field(default_factory=dict)  # delegations
    taken_back: dict[str, int] = field(default_factory=dict)
    reviewed: dict[str, list[Told]] = field(
        default_factory=lambda: defaultdict(list)
    )  # of who is in, by team
    decided: dict[str, list[Told]] = field(default_factory=lambda: defaultdict(list))  # the same, by review

    def add(self, told: Told) -> None:
        """Take one entry in, in the order of the log."""
        match told.kind:
            case "account.created":
                self.people[told.stream] = str(told.data["person"])
            case "account.deactivated":
                self.gone.setdefault(told.stream, told.index)
                self.leavers.append(told)
            case "team.created":
                self.teams[told.subject.removeprefix(TEAM)] = told.stream
                self.made[told.subject.removeprefix(TEAM)] = told
            case "team.synced":
                self.synced.add(told.subject)
            case "membership.started" | "membership.ended":
                self.members[told.subject.removeprefix(TEAM), told.data["account"]].append(told)
            case "access_review.completed":
                self.reviewed[told.subject.removeprefix(TEAM)].append(told)
            case "access_review.decided":
                self.decided[told.data["review"]].append(told)
            case "delegation.started":
                self.lent.setdefault(told.stream, told)
            case "delegation.ended":
                self.taken_back.setdefault(told.stream, told.index)

    def active(self, account: str, index: int) -> bool:
        """Whether it had not been switched off by then."""
        return self.gone.get(account, index) >= index

    def joined(self, team: str) -> str | None:
        """When somebody was in this team for the first time."""
        begun = [told[0].time for (one, _), told in self.members.items() if one == team and told]
        return min(begun, default=None)

    def members_at(self, team: str, index: int) -> set[str]:
        """Who was in this team at a place in the log."""
        earlier = (
            (account, [told.kind for told in some if told.index < index])
            for (one, account), some in self.members.items()
            if one == team
        )
        return {account for account, kinds in earlier if kinds[-1:] == ["membership.started"]}

    def left(self, team: str, account: str, due: str) -> bool:
        """Whether this account was out of the team at some time before that moment."""
        told = self.members.get((team, account), ())
        return any(one.kind == "membership.ended" and one.time <= due for one in told)

    def memberships(self, account: str) -> list[tuple[str, Told]]:
        """The teams that it is or was in, each with the newest entry about that."""
        return [(team, told[-1]) for (team, one), told in sorted(self.members.items()) if one == account]

    def asked(self, given: Told, stage: dict[str, Any]) -> bool | None:
        """Whether this stage asked whoever gave this sign-off, then; None where an entry does not say whom it named."""
        place = self._place(given)
        if place is None:
            return False
        account, teams = place
        late = "due_at" in stage and given.time >= stage["due_at"]
        for team in (*stage["teams"], *(stage.get("escalate_to", []) if late else [])):
            lent = not teams or self.teams.get(team) in teams
            if lent and self._belongs(account, team, given, stage.get("member_for", 0)):
                return True
        if "user_ids" not in stage:
            return None
        return account in stage["user_ids"] and not teams

    def _place(self, given: Told) -> tuple[str, list[str]] | None:
        """The account in whose place it was given, and the ids of the teams that were lent (none: all)."""
        account, teams = given.actor, list[str]()
        if key := given.data.get("delegation"):
            lent = self.lent.get(key)
            if lent is None or not self._holds(key, lent, given):
                return None
            account, teams = lent.data["delegator"], lent.data["teams"]
        owner = given.data.get("owner", given.data["person"])
        return (account, teams) if self.people.get(account) == owner else None

    def _holds(self, key: str, lent: Told, given: Told) -> bool:
        begun = lent.index < given.index <= self.taken_back.get(key, given.index)
        in_time = lent.data["starts_at"] <= given.time < lent.data["ends_at"]
        delegator, delegate = lent.data["delegator"], lent.data["delegate"]
        return begun and in_time and delegate == given.actor and self.active(delegator, given.index)

    def _belongs(self, account: str, team: str, given: Told, seconds: int) -> bool:
        """Whether it was a member of the team then, for long enough."""
        earlier = [told for told in self.members[team, account] if told.index < given.index]
        if not earlier or earlier[-1].kind != "membership.started":
            return False
        since = datetime.fromisoformat(earlier[-1].time)
        return datetime.fromisoformat(given.time) - since >= timedelta(seconds=seconds)
