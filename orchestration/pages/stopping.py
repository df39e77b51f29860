"""Kill switches: what was stopped, by whom and why; throwing one takes one person and a reason."""

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from accounts.acting import acting
from audit.ledger.record import record_refusal
from audit.models import ActorName
from audit.refusals import Refusal
from orchestration import access, stopping
from orchestration.actions import registry


@require_GET
@login_required
def index(request: HttpRequest) -> HttpResponse:
    """Those that hold now, and the form."""
    return render(request, "orchestration/kill_switches.html", _page(request))


@require_POST
@login_required
def throw(request: HttpRequest) -> HttpResponse:
    given, by = request.POST, acting(request)
    try:
        stopping.throw(
            environment=given.get("environment", ""),
            action=given.get("action", ""),
            hard=given.get("hard") == "on",
            reason=given.get("reason", ""),
            by=by,
        )
    except Refusal as refusal:
        record_refusal(refusal, attempted="kill_switch.throw", subject="kill switch", actor=by.actor)
        page = {**_page(request), "error": str(refusal), "given": given}
        return render(request, "orchestration/kill_switches.html", page, status=refusal.status)
    return redirect("orchestration:kill_switches")


def _page(request: HttpRequest) -> dict[str, Any]:
    standing = list(stopping.visible(request.user))
    known = ActorName.objects.filter(actor__in={one.thrown_by for one in standing})
    names = dict(known.values_list("actor", "name"))
    lifts = access.visible_workflows(request.user, "request").filter(slug="kill-switch-lift").exists()
    return {
        "standing": [{"switch": one, "by": names.get(one.thrown_by, one.thrown_by)} for one in standing],
        "places": stopping.places(acting(request)),
        "actions": sorted(set(registry.known()) - {"govern"}),
        "may_lift": lifts,
        "given": {},
    }
