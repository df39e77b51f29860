"""What ran, by whose hands, and what came of it: CT-04, CT-07, CT-19."""

from audit.controls.catalogue import control
from audit.controls.facts import Facts
from audit.controls.items import Execution, Judgement, implementers
from audit.controls.premises import CONTROL_ROOM
from audit.controls.told import Told, days_after


def approver_is_not_implementer(one: Execution, facts: Facts) -> Judgement:
    """CT-04."""
    approvals = one.counted
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


def outcome_was_verified(one: Execution, facts: Facts) -> Judgement:
    """CT-19."""
    if one.environment == CONTROL_ROOM:
        return Judgement(
            "na", "control_room", "It altered the product itself, which the act that did it told."
        )
    days = control("CT-19").parameters["days"]
    end = facts.ends.get(one.name)
    if end is None or end.index < one.index:
        if facts.until > days_after(one.time, days):
            return Judgement("fail", "no_end", "It never ended, or nobody said how.")
        return Judgement("na", "not_over", "It is not over, so there is nothing to verify.")
    if end.kind == "run.succeeded":
        if one.name in facts.verified:
            return Judgement("pass", "verified", "It ended well, and a step of its own verified that.")
        return Judgement("fail", "not_verified", "It ended well, but no step of it verified that.")
    if _was_recovered(one, end, days_after(end.time, days), facts):
        return Judgement("pass", "recovered", "It did not end well, and what came after it did.")
    if facts.until > days_after(end.time, days):
        return Judgement("fail", "not_recovered", "It did not end well, and nothing made up for it in time.")
    return Judgement("na", "recovery_open", "It did not end well; there is still time to make up for it.")


def _was_recovered(one: Execution, end: Told, due: str, facts: Facts) -> bool:
    """Whether a rollback of it, or a later change of the same service there, ended well in time."""
    place = (one.request.get("service"), one.environment)
    told = facts.releases.next_success(place, end.index)
    return told is not None and told.time <= due
