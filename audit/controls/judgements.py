"""Which function judges which control test, and what an exception makes of a failure."""

from collections.abc import Callable
from typing import Any

from audit.controls.facts import Facts
from audit.controls.items import Item, Judgement, Result
from audit.controls.judges import access, authorised, emergencies, kept, performed, releases, rights, sealed
from audit.controls.told import Told

__all__ = ["JUDGES", "Judgement", "Result", "judge"]

JUDGES: dict[str, Callable[[Any, Facts], Judgement]] = {
    "CT-01": authorised.has_approved_change,
    "CT-02": authorised.approval_precedes,
    "CT-03": authorised.nobody_approves_own,
    "CT-04": performed.approver_is_not_implementer,
    "CT-05": authorised.approvers_were_entitled,
    "CT-06": authorised.policy_was_in_force,
    "CT-07": performed.approved_is_what_ran,
    "CT-08": emergencies.emergency_was_reviewed,
    "CT-09": emergencies.emergencies_are_rare,
    "CT-10": releases.evidence_was_there,
    "CT-11": releases.what_runs_was_approved,
    "CT-12": sealed.log_is_as_signed,
    "CT-13": sealed.log_is_complete,
    "CT-14": sealed.work_stops_when_the_log_does,
    "CT-15": access.access_is_reviewed,
    "CT-16": rights.leavers_lose_their_rights,
    "CT-17": rights.administration_takes_two,
    "CT-18": releases.promoted_in_order,
    "CT-19": performed.outcome_was_verified,
    "CT-20": kept.log_and_signatures_are_kept,
}


def judge(control: str, one: Item, facts: Facts) -> Judgement:
    """A failure for which an exception stood, granted before the item and not over at it, is an exception."""
    judgement = JUDGES[control](one, facts)
    if judgement.result != "fail":
        return judgement
    for told in facts.exceptions.values():
        if told.data["rule"] == control and _covers(told, one) and _stood(told, one, facts):
            return Judgement("exception", judgement.reason, judgement.words, told.data["exception"])
    return judgement


def _covers(told: Told, one: Item) -> bool:
    """Whether it is for this service, environment or person."""
    return bool(one.about.get(told.data["scope"]) == told.data["scope_name"])


def _stood(told: Told, one: Item, facts: Facts) -> bool:
    early = facts.ended.get(told.data["exception"])
    over = early is not None and early.index < one.index
    return told.index < one.index and one.time < told.data["ends_at"] and not over
