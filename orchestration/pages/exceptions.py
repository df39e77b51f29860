"""The register of exceptions: the one that ends soonest first, those that are over below."""

from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from accounts.acting import acting
from approvals.clock import database_time
from orchestration import access, waivers
from orchestration.pages import stopped

OVER = 50  # shown of those that are over; the audit log holds all


@require_GET
@login_required
def register(request: HttpRequest) -> HttpResponse:
    """What this person may see of it."""
    seen, user = waivers.visible(request.user), acting(request).user
    now = database_time()
    standing = [
        {
            "waiver": one,
            "ends_soon": one.ends_at - now <= waivers.SOON,
            "may_end": user.is_superuser or one.owner_id == user.pk,
        }
        for one in waivers.standing(user)
    ]
    over = seen.exclude(pk__in=waivers.standing(user).values("pk")).order_by("-ends_at")[:OVER]
    may_ask = access.visible_workflows(request.user, "request").filter(slug="exception-grant").exists()
    ask = {"label": "Ask for an exception", "url": "/workflows/exception-grant/new/", "icon": "plus"}
    through = {"excepted": stopped.excepted(request), "is_admin": user.is_superuser}
    page = {**through, "standing": standing, "over": over, "page_actions": [ask] if may_ask else []}
    return render(request, "orchestration/exceptions.html", page)


@require_POST
@login_required
def end(request: HttpRequest, waiver: UUID) -> HttpResponse:
    waivers.end(waiver, reason=request.POST.get("reason", ""), by=acting(request))
    return redirect("orchestration:exceptions")
