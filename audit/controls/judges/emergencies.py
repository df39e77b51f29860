"""Emergencies: whether each was reviewed, and how many there were. CT-08, CT-09."""

from audit.controls.catalogue import control
from audit.controls.facts import Facts
from audit.controls.items import Execution, Judgement, Thing, implementers, involved
from audit.controls.told import days_after

OVER = {"change.succeeded", "change.failed", "change.cancelled"}


def emergency_was_reviewed(one: Execution, facts: Facts) -> Judgement:
    """CT-08."""
    if one.revision is None:
        return Judgement("indeterminate", "not_requested", "The ledger has no request for it.")
    if one.revision.data.get("incident") is None:
        return Judgement("na", "no_emergency", "It was no emergency.")
    ended = next(
        (
            told
            for told in facts.states.get(one.change, ())
            if told.kind in OVER and told.index > one.start.index
        ),
        None,
    )
    if ended is None:
        return Judgement("na", "not_over", "It is not over, so there is nothing to review.")
    due = days_after(ended.time, control("CT-08").parameters["days"])
    said = facts.conclusions.get(one.change, ())
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
    decided = {person for sign_off in facts.sign_offs.get(chain, ()) for person in sign_off.persons}
    independent = reviewers - decided - hands - involved(one, facts)
    if len(independent) < control("CT-08").parameters["people"]:
        return Judgement(
            "fail", "review_not_independent", "Fewer people than needed reviewed it who took no part."
        )
    return Judgement("pass", "reviewed", "It was reviewed in time by people who took no part.")


def emergencies_are_rare(one: Thing, facts: Facts) -> Judgement:
    """CT-09."""
    executed: list[Execution] = one.of
    urgent = sum(1 for each in executed if each.request.get("incident") is not None)
    words = f"{urgent} of {len(executed)} executions were emergencies."
    if urgent * 100 > len(executed) * control("CT-09").parameters["percent"]:
        return Judgement("fail", "too_many", words)
    return Judgement("pass", "few", words)
