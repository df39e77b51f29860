"""Who agreed before something started, and whether they could: CT-01, CT-02, CT-03, CT-05, CT-06."""

from typing import Any

from audit.controls.directory import Directory
from audit.controls.facts import Facts, SignOff
from audit.controls.items import Execution, Judgement, involved
from audit.controls.told import Told


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
    standing = one.counted
    everything = [
        sign_off
        for sign_off in facts.sign_offs.get(one.chain.data["chain"], ())
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
    approvers = {sign_off.person for sign_off in one.counted}
    if not approvers:
        return Judgement("na", "no_approval", "Nobody's approval was counted.")
    if approvers & involved(one, facts):
        return Judgement("fail", "own_approval", "Somebody who asked for it or wrote part of it is counted.")
    return Judgement("pass", "independent", "Everybody counted is independent of the request.")


def approvers_were_entitled(one: Execution, facts: Facts) -> Judgement:
    """CT-05."""
    asked = {stage["stage"]: stage for stage in one.chain.data["stages"]} if one.chain else {}
    given = [sign_off.given for sign_off in one.counted]
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


def policy_was_in_force(one: Execution, facts: Facts) -> Judgement:
    """CT-06."""
    if one.revision is None:
        return Judgement("indeterminate", "not_requested", "The ledger has no request for it.")
    if one.chain is None:
        return Judgement("indeterminate", "no_chain", "The ledger has no approval chain for it.")
    decided = facts.premises.decisions.get(one.revision.data["policy_decision"])
    if decided is None or decided.index > one.revision.index:
        return Judgement("fail", "undecided", "No policy had decided who must agree when it was requested.")
    told, asked = decided.data, one.chain.data
    if (asked["decision"], asked["bundle"]) != (told["decision"], told["bundle"]):
        return Judgement(
            "fail", "other_decision", "Its approval chain is not of the decision that its request names."
        )
    if told["denied"]:
        return Judgement("fail", "denied", "Policy had said that it is not allowed.")
    if not facts.premises.in_force(told["bundle"], decided.index):
        return Judgement("fail", "not_in_force", "The policy that decided was not the one in force.")
    return Judgement("pass", "in_force", "The policy in force decided who must agree.")
