"""The rail of the change page: who must agree, and what this person can do now. One registry of actions."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django.utils import timezone

from accounts import recent
from accounts.acting import acting
from approvals import chain as chains
from approvals import claims, eligibility
from approvals.models import SignOff, Stage
from approvals.seats import Seat
from audit.refusals import Refusal
from orchestration import access
from orchestration.models import Change, Revision
from orchestration.pages import attached, facts, planned, undoing, who

S = Change.State


def context(
    request: HttpRequest, change: Change, revision: Revision, refused: Refusal | None
) -> dict[str, Any]:
    """The contexts of components/chain.html, decision.html and actions.html."""
    chain, me = revision.chain, request.user
    given = list(chain.sign_offs.filter(withdrawn_at=None).select_related("user", "delegation__delegator"))
    ranks = chains.progress(chain)
    places = who.places(chain, [one.stage for one in ranks])
    seats = who.seats(ranks, places, given, me) if change.state == S.WAITING else {}
    looking = claims.current(chain) if change.state == S.WAITING else []
    return {
        "seats": [one.stage for one in ranks if one.stage.pk in seats],
        "stages": [
            {
                **_stage(one, given, places[one.stage.pk], one.stage.pk in seats, me),
                "reviewing": [claim for claim in looking if claim.stage_id == one.stage.pk],
            }
            for one in ranks
        ],
        "after": _after(change),
        "conflicts": who.conflicts(change, revision),
        "decision": _decision(request, change, revision, seats, given, refused),
        "actions": actions(request, change, given),
        "may_operate": access.may_operate(me, change),
    }


def planning(request: HttpRequest, change: Change) -> dict[str, Any]:
    """The same while something is planned: nobody is asked, and there is no chain."""
    return {
        "stages": [],
        "after": {
            "title": "Approvals",
            "text": "asked for once it is known what would change",
            "state": "pending",
        },
        "conflicts": [],
        "decision": {"why_not": _not_asked(change)},
        "actions": actions(request, change, []),
        "may_operate": access.may_operate(request.user, change),
    }


def flags(change: Change) -> list[dict[str, str]]:
    """What a reviewer of a high-risk change must open before approving: of the plan first, then of the steps."""
    if change.revision is None:
        return []
    return [*planned.flags(change), *facts.flags(change.revision)][: facts.MAX_FLAGS]


def _not_asked(change: Change) -> str:
    if change.state == S.DRAFT:
        return "Nobody is asked yet. Policy decides who must agree when it is known what would change."
    return "This change is closed."


def actions(request: HttpRequest, change: Change, given: list[SignOff]) -> list[dict[str, Any]]:
    """What this person can do besides deciding, by state and role."""
    url, mine = f"/changes/{change.key}/", change.requester_id == request.user.pk
    found: list[dict[str, Any]] = planned.action(request, change)
    if mine and change.state in {S.DRAFT, S.WAITING, S.SENT_BACK, S.APPROVED, S.SCHEDULED}:
        found.append({"label": "Edit and ask again", "url": url + "edit/"})
    if mine and change.state in {S.DRAFT, S.WAITING, S.SENT_BACK, S.APPROVED, S.SCHEDULED}:
        found.append({"label": "Withdraw", "url": url + "withdraw/", "method": "post"})
    if change.state == S.APPROVED and access.may_operate(request.user, change):
        found.append({"label": "Start now", "url": url + "start/", "method": "post"})
    if change.state == S.RUNNING and access.may_operate(request.user, change):
        found.append({"label": "Stop the run", "url": url + "cancel/", "method": "post", "danger": True})
    if change.state in {S.WAITING, S.APPROVED, S.SCHEDULED}:
        found += [_take_back(url, one) for one in given if one.user_id == request.user.pk]
    if change.state in {S.SUCCEEDED, S.FAILED, S.CANCELLED, S.REJECTED, S.WITHDRAWN, S.EXPIRED}:
        again = f"/workflows/{change.workflow.slug}/new/?from={change.key}"
        found.append({"label": "Request again", "url": again})
    return [*undoing.offer(request, change), *found]


def _take_back(url: str, sign_off: SignOff) -> dict[str, Any]:
    return {
        "label": "Withdraw my approval",
        "url": f"{url}sign-offs/{sign_off.pk}/withdraw/",
        "method": "post",
    }


def _stage(
    rank: chains.Progress, given: list[SignOff], places: list[Seat], mine: bool, me: Any
) -> dict[str, Any]:
    own = [one for one in given if one.stage_id == rank.stage.pk]
    state = "done" if rank.complete else "yours" if mine else "waiting" if rank.open else "later"
    return {
        "name": rank.stage.name,
        "order": rank.stage.order,
        "state": state,
        "given": rank.given,
        "quorum": rank.stage.quorum,
        "who": "" if rank.complete else who.sentence(places, given, me),
        "rule": rank.stage.why.get("rule", ""),
        "due_at": None if rank.complete else rank.stage.due_at,
        "escalates": "" if rank.complete else _escalates(rank.stage),
        "sign_offs": [
            {
                "person": one.user.name,
                "on_behalf_of": one.on_behalf_of,
                "decision": one.decision,
                "at": one.given_at,
                "comment": one.comment,
            }
            for one in own
        ],
    }


def _escalates(stage: Stage) -> str:
    """To whom it goes once it is past due, or went."""
    if not stage.escalate_to or stage.due_at is None:
        return ""
    teams = " and ".join(stage.escalate_to)
    return f"Escalated to {teams}." if stage.due_at <= timezone.now() else f"Then {teams} may decide as well."


def _after(change: Change) -> dict[str, str]:
    if change.state in {S.RUNNING, S.SUCCEEDED, S.FAILED, S.CANCELLED, S.UNKNOWN}:
        return {"title": "Run", "text": "", "state": change.state}
    return {"title": "Run starts", "text": "by itself, no later stop", "state": "pending"}


def _decision(
    request: HttpRequest,
    change: Change,
    revision: Revision,
    seats: Mapping[UUID, Seat],
    given: list[SignOff],
    refused: Refusal | None,
) -> dict[str, Any]:
    mine = list(revision.chain.stages.filter(pk__in=seats)) if seats else []
    why_not = _why_not(request, change, revision, mine, given)
    if why_not and not refused:
        return {"why_not": why_not}
    risk = change.risk
    posted = request.POST if refused else {}
    return {
        "action": f"/changes/{change.key}/decide/",
        "role": ", ".join(who.as_role(stage, seats[stage.pk]) for stage in mine),
        "stage": mine[0].pk if mine else "",
        "seats": [{"stage": stage.pk, "label": who.as_role(stage, seats[stage.pk])} for stage in mine],
        "digest": revision.digest,
        "chain_digest": revision.chain.digest,
        "risk": risk,
        "flags": flags(change) if risk == "high" else [],
        "evidence_missing": attached.lacking(change),
        "effects": {
            "approve": "Approve and start when complete",
            "approve_with_condition": "Approve with this condition",
            "send_back": f"Send back to {change.requester.name.split()[0]}",
            "reject": "Reject change",
        },
        "requester": change.requester.name,
        "confirm": _confirm(request, change),
        "passkey": _passkey(change, revision) if any(one.signature == "passkey" for one in mine) else None,
        "comment": posted.get("comment", ""),
        "condition": posted.get("condition", ""),
        "error": str(refused) if refused else "",
        "why_not": why_not,
    }


def _confirm(request: HttpRequest, change: Change) -> str:
    """Where to prove once more who one is, when that is too long ago to decide here; else empty."""
    if not change.environment.protected or recent.is_recent(request, at=datetime.now(UTC)):
        return ""
    return f"/me/confirm/?next=/changes/{change.key}/"


def _passkey(change: Change, revision: Revision) -> dict[str, str]:
    """Where the challenge comes from, and the words of what the device will sign."""
    return {
        "url": f"/api/v1/changes/{change.key}/sign-offs/challenge/",
        "signs": f"revision {revision.number} of {change.key}",
    }


def _others(revision: Revision) -> str:
    """Who can, stage by stage."""
    waiting = [one.stage for one in chains.progress(revision.chain) if not one.complete]
    found = {
        stage.name: [one.name for one in eligibility.people(stage, conflicted=revision.chain.barred)]
        for stage in waiting
    }
    return " ".join(f"{name} can: {', '.join(names) or 'nobody now'}." for name, names in found.items())


def _why_not(
    request: HttpRequest, change: Change, revision: Revision, mine: list[Stage], given: list[SignOff]
) -> str:
    if change.state != S.WAITING:
        return {
            S.SENT_BACK: f"Sent back: {change.requester.name} can edit it and ask again.",
            S.APPROVED: "Every stage has agreed. The run starts by itself.",
            S.SCHEDULED: "Every stage has agreed. The run starts by itself, at its time.",
            S.WITHDRAWN: "Withdrawn: nobody needs to decide it.",
            S.REJECTED: "Rejected: this change is closed.",
            S.EXPIRED: "The request expired before everybody had agreed.",
        }.get(S(change.state), "Decided. What was signed is what runs.")
    if change.requester_id == request.user.pk:
        return f"You requested this change, so someone else must approve it. {_others(revision)}"
    if acting(request).user.person_id in revision.chain.barred - set(revision.chain.conflicted):
        return f"You have a conflict of interest, so someone else must decide. {_others(revision)}"
    if not mine and any(one.user_id == request.user.pk for one in given):
        return "You have decided. One person counts once in a chain."
    return "" if mine else f"You can read this change but not decide it. {_others(revision)}"
