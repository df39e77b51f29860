"""The rail of the change page: who must agree, and what this person can do now. One registry of actions."""

from typing import Any

from django.http import HttpRequest

from approvals import chain as chains
from approvals import eligibility
from approvals.models import SignOff, Stage
from audit.refusals import Refusal
from orchestration import access
from orchestration.models import Change, Revision
from orchestration.pages import facts

S = Change.State


def context(request: HttpRequest, change: Change, revision: Revision, refused: Refusal | None) -> dict[str, Any]:
    """The contexts of components/chain.html, decision.html and actions.html."""
    stages = list(revision.chain.stages.all())
    given = list(revision.chain.sign_offs.filter(withdrawn_at=None).select_related("user"))
    open_now = {stage.pk for stage in chains.open_stages(stages, given)} if change.state == S.WAITING else set()
    people = {stage.pk: eligibility.eligible_people(stage) for stage in stages}
    mine = [stage for stage in stages if stage.pk in open_now and request.user in people[stage.pk]]
    return {
        "stages": [_stage(stage, given, people[stage.pk], open_now, mine, request) for stage in stages],
        "after": _after(change),
        "decision": _decision(request, change, revision, mine, given, refused),
        "actions": actions(request, change, given),
    }


def actions(request: HttpRequest, change: Change, given: list[SignOff]) -> list[dict[str, Any]]:
    """What this person can do besides deciding, by state and role."""
    url, mine = f"/changes/{change.key}/", change.requester_id == request.user.pk
    found = []
    if mine and change.state in {S.WAITING, S.SENT_BACK, S.APPROVED}:
        found.append({"label": "Edit and ask again", "url": url + "edit/"})
    if mine and change.state in {S.DRAFT, S.WAITING, S.SENT_BACK, S.APPROVED}:
        found.append({"label": "Withdraw", "url": url + "withdraw/", "method": "post"})
    if change.state == S.APPROVED and access.may_operate(request.user, change):
        found.append({"label": "Start now", "url": url + "start/", "method": "post"})
    if change.state == S.RUNNING and access.may_operate(request.user, change):
        found.append({"label": "Stop the run", "url": url + "cancel/", "method": "post", "danger": True})
    if change.state in {S.WAITING, S.APPROVED}:
        found += [_take_back(url, one) for one in given if one.user_id == request.user.pk]
    if change.state in {S.SUCCEEDED, S.FAILED, S.CANCELLED, S.REJECTED, S.WITHDRAWN, S.EXPIRED}:
        again = f"/workflows/{change.workflow.slug}/new/?from={change.key}"
        found.append({"label": "Request again", "url": again})
    return found


def _take_back(url: str, sign_off: SignOff) -> dict[str, Any]:
    return {"label": "Withdraw my approval", "url": f"{url}sign-offs/{sign_off.pk}/withdraw/", "method": "post"}


def _stage(
    stage: Stage, given: list[SignOff], people: list[Any], open_now: set[Any], mine: list[Stage], request: HttpRequest
) -> dict[str, Any]:
    own = [one for one in given if one.stage_id == stage.pk]
    agreed = len({one.person_id for one in own if one.approves})
    return {
        "name": stage.name.replace("_", " ").capitalize(),
        "order": stage.order,
        "state": _stage_state(stage, agreed, open_now, mine),
        "given": agreed,
        "quorum": stage.quorum,
        "who": _who(people, own, request) if agreed < stage.quorum else "",
        "rule": stage.why.get("rule", ""),
        "sign_offs": [
            {"person": one.user.name, "decision": one.decision, "at": one.given_at, "comment": one.comment}
            for one in own
        ],
    }


def _stage_state(stage: Stage, agreed: int, open_now: set[Any], mine: list[Stage]) -> str:
    if agreed >= stage.quorum:
        return "done"
    if stage in mine:
        return "yours"
    return "waiting" if stage.pk in open_now else "later"


def _who(people: list[Any], own: list[SignOff], request: HttpRequest) -> str:
    decided = {one.user_id for one in own}
    left = [person for person in people if person.pk not in decided]
    names = ["you" if person == request.user else person.name for person in left]
    names.sort(key=lambda name: name != "you")
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} others" if len(names) > 3 else "")  # noqa: PLR2004
    return f"Can decide: {shown}" if names else "Nobody can decide this now"


def _after(change: Change) -> dict[str, str]:
    if change.state in {S.RUNNING, S.SUCCEEDED, S.FAILED, S.CANCELLED, S.UNKNOWN}:
        return {"title": "Run", "text": "", "state": change.state}
    return {"title": "Run starts", "text": "by itself, no later stop", "state": "pending"}


def _decision(
    request: HttpRequest,
    change: Change,
    revision: Revision,
    mine: list[Stage],
    given: list[SignOff],
    refused: Refusal | None,
) -> dict[str, Any]:
    why_not = _why_not(request, change, mine, given)
    if why_not and not refused:
        return {"why_not": why_not}
    risk = facts.level(change)
    posted = request.POST if refused else {}
    return {
        "action": f"/changes/{change.key}/decide/",
        "role": ", ".join(stage.name.replace("_", " ").capitalize() for stage in mine),
        "stage": mine[0].pk if mine else "",
        "seats": [{"stage": stage.pk, "label": stage.name.replace("_", " ").capitalize()} for stage in mine],
        "digest": revision.digest,
        "chain_digest": revision.chain.digest,
        "risk": risk,
        "flags": facts.flags(revision) if risk == "high" else [],
        "effects": {
            "approve": "Approve and start when complete",
            "approve_with_condition": "Approve with this condition",
            "send_back": f"Send back to {change.requester.name.split()[0]}",
            "reject": "Reject change",
        },
        "requester": change.requester.name,
        "comment": posted.get("comment", ""),
        "condition": posted.get("condition", ""),
        "error": str(refused) if refused else "",
        "why_not": why_not,
    }


def _why_not(request: HttpRequest, change: Change, mine: list[Stage], given: list[SignOff]) -> str:
    if change.state != S.WAITING:
        return {
            S.SENT_BACK: f"Sent back: {change.requester.name} can edit it and ask again.",
            S.APPROVED: "Every stage has agreed. The run starts by itself.",
        }.get(S(change.state), "")
    if change.requester_id == request.user.pk:
        return "You requested this change, so someone else must approve it."
    if any(one.user_id == request.user.pk for one in given):
        return "You have decided. One person counts once in a chain."
    return "" if mine else "You can read this change but not decide it."
