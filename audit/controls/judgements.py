"""One function for each control test: an execution and the facts in, a result and its reason out. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from audit.controls.catalogue import control
from audit.controls.directory import Directory
from audit.controls.facts import Facts, SignOff
from audit.controls.told import Told
from audit.ledger.record import timestamp

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


def approver_is_not_implementer(one: Execution, facts: Facts) -> Judgement:
    """CT-04."""
    approvals = counted(one, facts)
    if not approvals:
        return Judgement("na", "no_approval", "Nobody's approval was counted.")
    hands = implementers(one, facts)
    if hands is None:
        return Judgement(
            "indeterminate", "unknown_account", "Somebody put it to work whom the ledger does not know."
        )
    if hands & {person for sign_off in approvals for person in sign_off.persons}:
        return Judgement(
            "fail", "own_hands", "Somebody who is counted started it, or did or answered for a step."
        )
    return Judgement(
        "pass", "other_hands", "Nobody who is counted started it, or did or answered for a step."
    )


def implementers(one: Execution, facts: Facts) -> set[str] | None:
    """The people who asked for this start, or did or answered for a step; None if one of them is not known."""
    since = one.revision.index if one.revision else 0
    asked = [told for told in facts.asked[one.change] if since < told.index < one.start.index]
    actors = {told.actor for told in (*asked, *facts.answers[one.start.subject]) if ":" not in told.actor}
    people = facts.directory.people
    return {people[actor] for actor in actors} if actors <= people.keys() else None


def approvers_were_entitled(one: Execution, facts: Facts) -> Judgement:
    """CT-05."""
    asked = {stage["stage"]: stage for stage in one.chain.data["stages"]} if one.chain else {}
    given = [sign_off.given for sign_off in counted(one, facts)]
    found = [_entitled(told, asked.get(told.data["stage"]), facts.directory) for told in given]
    if not found:
        return Judgement("na", "no_approval", "Nobody's approval was counted.")
    worst = ("fail", "indeterminate", "pass")
    return min(found, key=lambda judgement: worst.index(judgement.result))


def _entitled(given: Told, stage: dict[str, Any] | None, directory: Directory) -> Judgement:
    """One approval, when it was given."""
    if given.actor not in directory.people:
        return Judgement(
            "indeterminate", "unknown_account", "The ledger does not know the account of an approval."
        )
    if not directory.active(given.actor, given.index):
        return Judgement("fail", "inactive", "An approval came from an account that was switched off.")
    may = directory.asked(given, stage) if stage else False
    if stage is None or may is False:
        return Judgement("fail", "not_entitled", "An approval came from somebody whom its stage did not ask.")
    if stage.get("signature") == "passkey" and "passkey" not in given.data:
        return Judgement("fail", "no_passkey", "An approval has no passkey though its stage demanded one.")
    if may is None:
        return Judgement(
            "indeterminate", "names_untold", "Its chain does not tell whom policy asked by name."
        )
    return Judgement("pass", "entitled", "Everybody counted was active, and asked by their stage.")


def approved_is_what_ran(one: Execution, facts: Facts) -> Judgement:
    """CT-07."""
    permit, chain = one.permit, one.chain
    if permit is None or permit.index > one.start.index:
        return Judgement("indeterminate", "no_permit", "No permit says what it was allowed to run.")
    if one.revision is None:
        return Judgement("indeterminate", "not_requested", "The ledger has no request for it.")
    if chain is None:
        return Judgement("indeterminate", "no_chain", "The ledger has no approval chain for it.")
    newest = facts.newest(one.change, permit.index)
    if newest is not None and newest.data["digest"] != one.digest:
        return Judgement(
            "fail", "amended", "The content was changed after what was approved, and before it ran."
        )
    if {permit.data["digest"], chain.subject} != {one.digest}:
        return Judgement("fail", "other_content", "Its permit or its approval chain is for other content.")
    for key in permit.data["sign_offs"]:
        sign_off = facts.given.get(key)
        if sign_off is None or sign_off.given.index > permit.index:
            return Judgement(
                "fail", "unknown_approval", "Its permit counts an approval that nobody had given."
            )
        if not sign_off.approves(one.digest, chain.data["digest"]):
            return Judgement(
                "fail", "other_approval", "Its permit counts a decision that does not approve this."
            )
    return Judgement("pass", "same_content", "Request, approvals, permit and start name the same content.")


def emergency_was_reviewed(one: Execution, facts: Facts) -> Judgement:
    """CT-08."""
    if one.revision is None:
        return Judgement("indeterminate", "not_requested", "The ledger has no request for it.")
    if one.revision.data.get("incident") is None:
        return Judgement("na", "no_emergency", "It was no emergency.")
    ended = next(
        (told for told in facts.states[one.change] if told.kind in OVER and told.index > one.start.index),
        None,
    )
    if ended is None:
        return Judgement("na", "not_over", "It is not over, so there is nothing to review.")
    due = _days_after(ended.time, control("CT-08").parameters["days"])
    said = facts.conclusions[one.change]
    closed = next((told for told in said if told.kind == "review.closed"), None)
    if closed is not None and closed.time > due:
        return Judgement("fail", "review_late", "Its review was closed too late.")
    if closed is not None:
        return _independent_review(one, facts, {str(told.data["person"]) for told in said})
    if facts.until > due:
        return Judgement("fail", "review_overdue", "The time for its review is over, and none was closed.")
    return Judgement("na", "review_open", "It is not reviewed yet, and still in time.")


def _independent_review(one: Execution, facts: Facts, reviewers: set[str]) -> Judgement:
    hands = implementers(one, facts)
    if hands is None:
        return Judgement(
            "indeterminate", "unknown_account", "Somebody put it to work whom the ledger does not know."
        )
    chain = one.chain.data["chain"] if one.chain else ""
    decided = {person for sign_off in facts.sign_offs[chain] for person in sign_off.persons}
    independent = reviewers - decided - hands - involved(one, facts)
    if len(independent) < control("CT-08").parameters["people"]:
        return Judgement(
            "fail", "review_not_independent", "Fewer people than needed reviewed it who took no part."
        )
    return Judgement("pass", "reviewed", "It was reviewed in time by people who took no part.")


def _days_after(time: str, days: int) -> str:
    return timestamp(datetime.fromisoformat(time) + timedelta(days=days))


OVER = {"change.succeeded", "change.failed", "change.cancelled"}
JUDGES: dict[str, Callable[[Execution, Facts], Judgement]] = {
    "CT-01": has_approved_change,
    "CT-02": approval_precedes,
    "CT-03": nobody_approves_own,
    "CT-04": approver_is_not_implementer,
    "CT-05": approvers_were_entitled,
    "CT-07": approved_is_what_ran,
    "CT-08": emergency_was_reviewed,
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
