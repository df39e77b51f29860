"""What populations consist of. An item has a name, a place in the log and a moment, whatever kind it is of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from audit.controls.facts import Facts, SignOff
from audit.controls.told import Told

Result = Literal["pass", "fail", "exception", "na", "indeterminate"]
About = Mapping[str, str | None]  # what an exception may be for: service, environment, person


@dataclass(frozen=True, slots=True)
class Judgement:
    """A result with a stable reason code, the sentence for people, and the exception that explains it."""

    result: Result
    reason: str
    words: str
    deviation: str = ""


class Item(Protocol):
    """One member of a population."""

    @property
    def kind(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def index(self) -> int: ...
    @property
    def time(self) -> str: ...
    @property
    def about(self) -> About: ...
    @property
    def evidence(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Thing:
    """An item of any kind but an execution; `of` is what its judge looks at."""

    kind: str
    name: str
    index: int
    time: str
    of: Any = None
    about: About = field(default_factory=dict)
    evidence: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Execution:
    """One start of a run, with what the ledger knows about it."""

    start: Told
    permit: Told | None
    revision: Told | None
    chain: Told | None
    counted: list[SignOff]  # the approvals that stood when it began

    kind = "execution"

    @property
    def name(self) -> str:
        return str(self.start.data["run"])

    @property
    def index(self) -> int:
        return self.start.index

    @property
    def time(self) -> str:
        return self.start.time

    @property
    def only_planned(self) -> bool:
        """Whether the gate let it do no more than read, before there was anything to agree to."""
        if self.permit is None or self.permit.index > self.start.index:
            return False
        told, subject = self.permit.data, self.permit.subject
        named = (told.get("purpose"), told["chain"], told["digest"], subject)
        return named == ("plan", None, self.digest, self.change)

    @property
    def digest(self) -> str:
        return str(self.start.data["digest"])

    @property
    def change(self) -> str:
        return str(self.start.data["change"])

    @property
    def environment(self) -> str:
        return str(self.start.data["environment"])

    @property
    def request(self) -> dict[str, Any]:
        """What was asked for; empty where the ledger does not say."""
        return self.revision.data if self.revision else {}

    @property
    def about(self) -> About:
        """By what was requested, never by what a row says now."""
        return {
            "service": self.request.get("service"),
            "environment": self.environment,
            "person": self.request.get("requester_person"),
        }

    @property
    def evidence(self) -> dict[str, Any]:
        """What an auditor follows from the start back to the request."""
        request, revision, permit = self.request, self.revision, self.permit
        return {
            "run": self.name,
            "change": self.change,
            "service": request.get("service"),
            "environment": self.environment,
            "requester": request.get("requester_person"),
            "requester_actor": revision.actor if revision else None,
            "approvers": sorted({sign_off.person for sign_off in self.counted}),
            "approver_actors": sorted({sign_off.given.actor for sign_off in self.counted}),
            "requested_at": revision.time if revision else None,
            "approved_at": max((sign_off.given.time for sign_off in self.counted), default=None),
            "started_at": self.time,
            "digest": self.digest,
            "workflow_digest": request.get("workflow_digest"),
            "policy_decision": request.get("policy_decision"),
            "permit_index": permit.index if permit else None,
            "permit_checkpoint": permit.data["checkpoint_size"] if permit else None,
            "approval_indexes": sorted(sign_off.given.index for sign_off in self.counted),
        }


def execution(start: Told, facts: Facts) -> Execution:
    """A start with its permit, its request and its chain, as far as the ledger has them."""
    permit = facts.permits.get(start.data["permit"] or "")
    revision = facts.revision(start.data["change"], start.data["digest"], start.index)
    named = permit or revision
    chain = facts.chains.get(named.data["chain"] or "") if named else None
    begins = permit.index if permit is not None and permit.index < start.index else start.index
    return Execution(start, permit, revision, chain, _counted(start, chain, begins, facts))


def _counted(start: Told, chain: Told | None, begins: int, facts: Facts) -> list[SignOff]:
    """From where it begins on nothing may count any more."""
    if chain is None:
        return []
    return [
        sign_off
        for sign_off in facts.sign_offs.get(chain.data["chain"], ())
        if sign_off.approves(str(start.data["digest"]), chain.data["digest"])
        and sign_off.stands_at(begins)
        and sign_off.given.time < start.time
    ]


def involved(one: Execution, facts: Facts) -> set[str]:
    """The people who may not count: requesters, and those in conflict in any revision or in the chain."""
    people = set(one.chain.data["conflicted"]) if one.chain else set()
    for revision in facts.revisions.get(one.change, ()):
        if revision.index < one.index:
            people |= {revision.data["requester_person"], *revision.data["conflicted"]}
    return people


def implementers(one: Execution, facts: Facts) -> set[str] | None:
    """The people who asked for this start, or did or answered for a step; None if one of them is not known."""
    since = one.revision.index if one.revision else 0
    asked = [told for told in facts.asked.get(one.change, ()) if since < told.index < one.index]
    answers = facts.answers.get(one.start.subject, ())
    actors = {told.actor for told in (*asked, *answers) if ":" not in told.actor}
    people = facts.directory.people
    return {people[actor] for actor in actors} if actors <= people.keys() else None
