"""What a plan found, on the change page: riskiest first, what differs from before, and where planning stands."""

from collections import Counter
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_GET, require_POST

from accounts.acting import acting
from audit.refusals import NotFound
from orchestration import access, found, planning
from orchestration.models import Change, Plan, Revision, Run

R = Run.State


@require_POST
@login_required
def again(request: HttpRequest, key: str) -> HttpResponse:
    """Let the plan steps look once more."""
    change = access.get_change_or_404(request.user, key)
    planning.again(change, by=acting(request))
    return redirect("orchestration:change", key=change.key)


@require_GET
@login_required
def artifact(request: HttpRequest, key: str, step: str, name: str) -> HttpResponse:
    """The very bytes of a file that a plan step left, as a download."""
    seen = found.of_change(access.get_change_or_404(request.user, key))
    if seen is None:
        raise NotFound("There is no such file.")
    return found.download(seen.plan, step, name)


def context(request: HttpRequest, change: Change, content: Revision | Plan) -> dict[str, Any]:
    """The contexts of parts/planning.html and parts/found.html; nothing where the workflow plans nothing."""
    newest = change.plans.select_related("run").first()
    if newest is None:
        return {}
    seen = found.of_change(change)
    return {
        "is_planned": True,
        "planning": _planning(request, change, newest),
        "found": _found(change, seen) if seen else None,
        "differs": found.differences(content) if isinstance(content, Revision) else [],
    }


def flags(change: Change) -> list[dict[str, str]]:
    """What a reviewer must open: each thing that would be destroyed, or that its step calls a high risk."""
    seen = found.of_change(change)
    if seen is None:
        return []
    return [
        {"id": f"plan:{one['id']}", "title": str(one["what"])[:80], "url": f"#{one['id']}"}
        for one in seen.flagged
    ]


def action(request: HttpRequest, change: Change) -> list[dict[str, Any]]:
    """`Plan again`, for whoever may, while something may come of it."""
    newest = change.plans.select_related("run").first()
    if newest is None or change.state not in planning.OPEN or planning.under_way(change):
        return []
    if not access.may_plan(request.user, change):
        return []
    return [{"label": "Plan again", "url": f"/changes/{change.key}/plan/", "method": "post"}]


def _planning(request: HttpRequest, change: Change, plan: Plan) -> dict[str, str] | None:
    """The banner that says where planning stands; None once what was found is what is asked for."""
    run = {"url": f"/runs/{plan.run.key}/", "label": plan.run.key}
    if plan.outcome == Plan.Outcome.OPEN:
        state, title, text = _at_work(change, plan)
    elif plan.outcome in {Plan.Outcome.DENIED, Plan.Outcome.REFUSED}:
        state, title, text = "failed", "What the plan found cannot go on", plan.why
    elif plan.outcome == Plan.Outcome.SAME:
        state, title, text = "succeeded", "Planned again: nothing differs", "What was signed stands."
    else:
        return None
    return {"state": state, "title": title, "text": text, "link": run}  # type: ignore[dict-item]  # a banner's link


def _at_work(change: Change, plan: Plan) -> tuple[str, str, str]:
    run = plan.run
    if run.state in {R.FAILED, R.CANCELLED}:
        return (
            "failed",
            "The plan did not succeed",
            f"{_why_failed(run)} Nobody was asked. Plan again, edit, or withdraw.",
        )
    if run.state == R.SUCCEEDED:
        return "running", "Planned", "Policy is asked who must agree to what was found."
    if change.state == Change.State.DRAFT:
        then = "It only reads. What it finds is what reviewers see and sign, and exactly that is applied."
        return "running", "Planning", then
    return (
        "running",
        "Planning again",
        "If anything differs, every sign-off is void and everybody is asked anew.",
    )


def _why_failed(run: Run) -> str:
    """The sentence of the step that failed."""
    failed = run.steps.filter(state__in=["failed", "timed_out", "unknown", "cancelled"]).first()
    last = failed.attempts.last() if failed else None
    if failed is None or last is None:
        return "It was stopped."
    return f"{failed.title or failed.key}: {last.reason or failed.state.replace('_', ' ')}"


def _found(change: Change, seen: found.Found) -> dict[str, Any]:
    """The context of parts/found.html."""
    rest = [one for one in seen.items if not one["flagged"]]
    return {
        "plan": seen.plan,
        "intact": seen.is_intact,
        "flagged": [_item(one) for one in seen.flagged],
        "rest": [_item(one) for one in rest],
        "rest_words": _count(rest),
        "left_out": seen.left_out,
        "silent": list(seen.steps_without_summary),
        "files": [
            {
                "row": one,
                "url": f"/changes/{change.key}/plan/{one.step}/{one.name}",
                "diff": one.text is not None and one.text.startswith(("---", "diff ", "+++ ")),
                "open": not seen.items and number == 0,
            }
            for number, one in enumerate(seen.files)
        ],
    }


def _item(one: Any) -> dict[str, Any]:
    """One thing that would change, every character of it visible."""
    texts = {
        name: found.visible(str(one[name])) for name in ("what", "before", "after", "diff") if name in one
    }
    return {**one, **texts, "folded": not {"before", "after", "diff"} & set(texts)}


def _count(items: list[Any]) -> str:
    """`8 update, 4 create`."""
    return ", ".join(
        f"{count} {action}" for action, count in Counter(one["action"] for one in items).most_common()
    )
