"""One function for each control test: an execution and the facts in, a result and its reason out. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from audit.controls.facts import Facts, SignOff, Told

Result = Literal["pass", "fail", "exception", "na", "indeterminate"]


@dataclass(frozen=True)
class Judgement:
    """A result with a stable reason code, the sentence for people, and the exception that explains it."""

    result: Result
    reason: str
    words: str
    deviation: str = ""


@dataclass(frozen=True)
class Execution:
    """One start of a run, with what the ledger knows about it."""

    start: Told
    permit: Told | None
    revision: Told | None
    chain: Told | None

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
    def begins(self) -> int:
        """The place in the log from which on nothing may count any more."""
        before = self.permit is not None and self.permit.index < self.start.index
        return self.permit.index if self.permit is not None and before else self.start.index


def execution(start: Told, facts: Facts) -> Execution:
    """A start with its permit, its request and its chain, as far as the ledger has them."""
    permit = facts.permits.get(start.data["permit"] or "")
    revision = facts.revision(start.data["change"], start.data["digest"], start.index)
    named = permit or revision
    chain = facts.chains.get(named.data["chain"] or "") if named else None
    return Execution(start, permit, revision, chain)


def counted(one: Execution, facts: Facts) -> list[SignOff]:
    """The approvals that stood when it began."""
    if one.chain is None:
        return []
    return [
        sign_off
        for sign_off in facts.sign_offs[one.chain.data["chain"]]
        if sign_off.approves(one.digest, one.chain.data["digest"])
        and sign_off.stands_at(one.begins)
        and sign_off.given.time < one.start.time
    ]


def has_approved_change(one: Execution, facts: Facts) -> Judgement:
    """CT-01."""
    permit = one.permit
    if permit is None or permit.index > one.start.index:
        return Judgement("fail", "no_permit", "No permit was issued before it started.")
    if permit.data["digest"] != one.digest or permit.subject != one.change:
        return Judgement("fail", "other_content", "Its permit is for other content.")
    if one.revision is None:
        return Judgement("fail", "not_requested", "Nobody requested exactly this content.")
    state = facts.state_before(one.change, permit.index)
    if state not in ("approved", "scheduled"):
        seen = (state or "unknown").replace("_", " ")
        return Judgement("fail", "not_approved", f"The change was {seen} when its permit was issued.")
    return Judgement("pass", "approved", "Approved, and permitted for exactly this content.")


def approval_precedes(one: Execution, facts: Facts) -> Judgement:
    """CT-02."""
    if one.chain is None:
        return Judgement("indeterminate", "no_chain", "The ledger has no approval chain for it.")
    standing = counted(one, facts)
    everything = [
        sign_off
        for sign_off in facts.sign_offs[one.chain.data["chain"]]
        if sign_off.approves(one.digest, one.chain.data["digest"])
    ]
    for stage in one.chain.data["stages"]:
        if _people(standing, stage["stage"]) >= stage["quorum"]:
            continue
        late = _people(everything, stage["stage"]) >= stage["quorum"]
        reason, when = ("approval_late", "in time ") if late else ("approval_missing", "")
        return Judgement("fail", reason, f"{stage['name']} did not have its quorum {when}before the start.")
    return Judgement("pass", "approved_before", "Every stage had its quorum before the start.")


def _people(sign_offs: list[SignOff], stage: str) -> int:
    return len({one.person for one in sign_offs if one.given.data["stage"] == stage})


def nobody_approves_own(one: Execution, facts: Facts) -> Judgement:
    """CT-03."""
    if one.revision is None:
        return Judgement("indeterminate", "not_requested", "The ledger has no request for it.")
    approvers = {sign_off.person for sign_off in counted(one, facts)}
    if not approvers:
        return Judgement("na", "no_approval", "Nobody's approval was counted.")
    if approvers & involved(one, facts):
        return Judgement("fail", "own_approval", "Somebody who asked for it or wrote part of it is counted.")
    return Judgement("pass", "independent", "Everybody counted is independent of the request.")


def involved(one: Execution, facts: Facts) -> set[str]:
    """The people who may not count: requesters, and those in conflict in any revision or in the chain."""
    people = set(one.chain.data["conflicted"]) if one.chain else set()
    for revision in facts.revisions[one.change]:
        if revision.index < one.start.index:
            people |= {revision.data["requester_person"], *revision.data["conflicted"]}
    return people


JUDGES: dict[str, Callable[[Execution, Facts], Judgement]] = {
    "CT-01": has_approved_change,
    "CT-02": approval_precedes,
    "CT-03": nobody_approves_own,
}


def judge(control: str, one: Execution, facts: Facts) -> Judgement:
    """A failure for which an exception stood, granted before the start and not over at it, is an exception."""
    judgement = JUDGES[control](one, facts)
    if judgement.result != "fail":
        return judgement
    for told in facts.exceptions.values():
        if told.data["rule"] == control and _covers(told, one) and _stood(told, one, facts):
            return Judgement("exception", judgement.reason, judgement.words, told.data["exception"])
    return judgement


def _covers(told: Told, one: Execution) -> bool:
    """Whether it is for this service, environment or requester: by what was requested, never by what a row says now."""
    request = one.revision.data if one.revision else {}
    about = {
        "service": request.get("service"),
        "environment": one.start.data["environment"],
        "person": request.get("requester_person"),
    }
    return bool(about[told.data["scope"]] == told.data["scope_name"])


def _stood(told: Told, one: Execution, facts: Facts) -> bool:
    early = facts.ended.get(told.data["exception"])
    over = early is not None and early.index < one.start.index
    return told.index < one.start.index and one.start.time < told.data["ends_at"] and not over
