"""What comes of a plan: policy is asked with what was found, and only then people are; or nothing has changed.

Policy takes its time, so it is asked outside of any transaction; what it answered is written only if the change is
still the one that it was asked about. It must never let a sign-off stand for what was found differently since.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import transaction

from accounts.acting import Acting
from approvals.policy.engine import PolicyDenied, PolicyUnavailable
from audit.canonical import parse
from audit.ledger.entry import system
from audit.refusals import MoveNotAllowed, Refusal, StaleVersion
from orchestration import access, asking, lifecycle, revisions
from orchestration.asking import Asked
from orchestration.definitions import digest as digests
from orchestration.definitions import phases
from orchestration.engine import artifacts
from orchestration.engine.rows import lock_change
from orchestration.models import Change, Plan, Run

PLANNER = system("system:planner")
BATCH = 50
C, R, O = Change.State, Run.State, Plan.Outcome  # noqa: E741 - beside C and R it reads as what it is
OPEN = {C.DRAFT, C.WAITING, C.APPROVED, C.SCHEDULED}  # while something may come of a plan
Found = Sequence[Mapping[str, Any]]

log = logging.getLogger(__name__)


class PlanOutdated(Refusal):
    """The plan steps would be other ones now than those that were run."""

    code = "plan_outdated"


def again(change: Change, *, by: Acting) -> Plan:
    """Let the plan steps look once more. What they find voids the sign-offs only if it differs."""
    access.require_plan(by.user, change)
    with transaction.atomic():
        change = lock_change(change.pk)
        content = asking.content_of(change)
        old = content if isinstance(content, Plan) else content.plan
        if old is None:
            raise MoveNotAllowed(
                f"The workflow of {change.key} plans nothing, so there is nothing to plan again."
            )
        if change.state not in OPEN:
            raise MoveNotAllowed(f"{change.key} is {asking.state_word(change)}; it was not planned again.")
        if under_way(change):
            raise MoveNotAllowed(f"{change.key} is being planned already; nothing was done.")
        made = revisions.plan_again(change, old, by=by.actor)
        lifecycle.tell(change)
    return made


def under_way(change: Change) -> bool:
    """Whether plan steps look now, or what they found is being judged."""
    newest = change.plans.first()
    if newest is None or newest.outcome != O.OPEN:
        return False
    return newest.run.state in {R.READY, R.RUNNING, R.UNKNOWN, R.SUCCEEDED}


def sweep() -> int:
    """Settle whatever was found and not settled: a hint was lost, or policy could not be asked. How many."""
    found = Plan.objects.filter(outcome=O.OPEN, run__state=R.SUCCEEDED).order_by("created_at")
    ids = list(found.values_list("pk", flat=True)[:BATCH])
    for plan_id in ids:
        settle(plan_id)
    return len(ids)


def settle(plan_id: UUID) -> None:
    """What comes of a plan whose steps have all ended well; whatever moved on meanwhile is looked at again later."""
    rows = Plan.objects.select_related("change__revision", "workflow_version__workflow__owner", "author")
    plan = rows.filter(pk=plan_id, outcome=O.OPEN, run__state=R.SUCCEEDED).first()
    if plan is None:
        return
    try:
        _settle(plan, artifacts.listed(plan))
    except (StaleVersion, PolicyUnavailable) as later:
        log.info("%s is not settled yet: %s", plan.key, later)


def _settle(plan: Plan, found: Found) -> None:
    if _is_moot(plan):
        _write(plan, O.MOOT, why="the change went on without it")
    elif _is_same(plan.change, found):
        _write(plan, O.SAME)
    else:
        try:
            asked = asking.ask_planned(plan, found)
            _check_steps(plan, asked)
        except PolicyUnavailable:
            raise
        except PolicyDenied as denied:
            _write(plan, O.DENIED, why=str(denied))
        except Refusal as refusal:
            _write(plan, O.REFUSED, why=str(refusal))
        else:
            _revise(plan, asked)


def _is_moot(plan: Plan) -> bool:
    newest = plan.change.plans.first()
    return plan.change.state not in OPEN or newest is None or newest.pk != plan.pk


def _is_same(change: Change, found: Found) -> bool:
    """Whether exactly this was found when it was signed, or is being signed. Of a draft nothing stands."""
    if change.state == C.DRAFT or change.revision is None:
        return False
    signed: list[Any] = parse(bytes(change.revision.document))["plan"]
    return signed == list(found)


def _check_steps(plan: Plan, asked: Asked) -> None:
    """What looked is what is signed beside what it found."""
    ran = [step for step in parse(bytes(plan.document))["steps"] if phases.is_plan(step)]
    if ran != [step for step in digests.steps(asked.content) if phases.is_plan(step)]:
        raise PlanOutdated(
            f"The plan steps of {plan.change.key} are other ones now. Edit it to plan it anew."
        )


def _revise(plan: Plan, asked: Asked) -> None:
    with transaction.atomic():
        revisions.hold(asked.draft.service, asked.draft.environment)
        change = _locked(plan)
        revisions.settle(plan, O.REVISED, by=PLANNER, revision=asked.draft.number)
        revisions.put(change, asked, why="planned again: it found something else", plan=plan)


def _write(plan: Plan, outcome: Plan.Outcome, *, why: str = "") -> None:
    """What comes of it besides a revision. What nobody can agree to any more ends, or is a draft again."""
    with transaction.atomic():
        change = _locked(plan)
        revisions.settle(plan, outcome, by=PLANNER, why=why[:2000])
        if outcome in {O.DENIED, O.REFUSED} and change.revision is not None:
            revisions.void(change, change.revision, by=PLANNER, why="planned again: it found something else")
        if outcome == O.DENIED:
            lifecycle.move(change, C.REJECTED, by=PLANNER, why=why[:2000])
        elif outcome == O.REFUSED and change.state != C.DRAFT:
            lifecycle.move(change, C.DRAFT, by=PLANNER, why=why[:2000])
        else:
            lifecycle.tell(change)


def _locked(plan: Plan) -> Change:
    """The change, if nobody moved it since it was looked at."""
    change = lock_change(plan.change_id)
    if change.version != plan.change.version:
        raise StaleVersion(f"{change.key} moved on meanwhile; what its plan found is looked at again.")
    return change
