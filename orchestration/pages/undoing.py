"""Rolling back from a page: the offer beside what has ended, and a form that asks for the reason only."""

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from accounts.acting import acting
from audit.ledger.record import record_refusal
from audit.refusals import Refusal
from orchestration import access, asking, changes, undoing
from orchestration.models import Change, Run
from orchestration.pages import facts, requests, trace, way
from orchestration.undoing import NoRollback


def offer(request: HttpRequest, change: Change) -> list[dict[str, Any]]:
    """The button, where there is something to roll back and this person may ask; first, where verification failed."""
    if change.state not in undoing.ENDED or not access.may_request(request.user, change):
        return []
    try:
        undoing.of(change)
    except NoRollback:
        return []
    run = change.runs.order_by("-number").first()
    first = run is not None and run.state == Run.State.FAILED
    return [
        {"label": "Roll back", "url": f"/changes/{change.key}/rollback/", "primary": first, "icon": "back"}
    ]


@require_http_methods(["GET", "POST"])
@login_required
def rollback(request: HttpRequest, key: str) -> HttpResponse:
    """What would be undone and who has to agree; a POST with a reason asks for it."""
    change, by = access.get_change_or_404(request.user, key), acting(request)
    if request.method == "GET":
        return _form(request, change)
    try:
        asked = asking.ask_rollback(change, reason=request.POST.get("reason", ""), by=by)
        back = changes.request_change(asked)
    except Refusal as refusal:
        record_refusal(refusal, attempted="change.request", subject=change.key, actor=by.actor)
        return _form(request, change, refused=refusal)
    return redirect("orchestration:change", key=back.key)


def _form(request: HttpRequest, change: Change, *, refused: Refusal | None = None) -> HttpResponse:
    found = asking.preview_rollback(change, by=acting(request))
    context = {
        "change": change,
        "plan": way.plan(map(facts.planned, found["steps"]), {step["key"]: step for step in found["steps"]}),
        "preview": {**requests.answer(found), "rules": trace.previewed(found)},
        "errors": requests.errors_of(refused),
        "reason": request.POST.get("reason", ""),
    }
    return render(request, "orchestration/rollback.html", context, status=refused.status if refused else 200)
