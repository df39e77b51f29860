"""Asking in an emergency: a page of its own, which says what follows before anything is sent.

It must never be a box to tick on the normal form: nobody breaks glass by the way.
"""

from typing import Any

from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.acting import acting
from audit.ledger.record import record_refusal
from audit.refusals import Refusal
from orchestration import access, asking, changes, reviewing
from orchestration.definitions.digest import Emergency
from orchestration.models import CONTROL_ROOM, Environment, Workflow
from orchestration.pages import forms, requests


@require_GET
@login_required
def choose(request: HttpRequest) -> HttpResponse:
    """What may be run in an emergency, by those who were granted it somewhere."""
    places = _places(request)
    found = access.visible_workflows(request.user, "request").filter(active__isnull=False)
    rows = [one for one in found.select_related("owner", "active") if _among(one, places)]
    normal = {"label": "Choose a workflow", "url": "/workflows/"}
    page = {"rows": rows, "places": places, "normal": normal}
    return render(request, "orchestration/break_glass.html", page)


@require_http_methods(["GET", "POST"])
@login_required
def new(request: HttpRequest, slug: str) -> HttpResponse:
    """The form; a valid POST becomes an emergency change that waits for two people."""
    workflow = access.get_workflow_or_404(request.user, slug, may="request")
    if request.method == "GET":
        return _form(request, workflow, given={"inputs": {}, "reason": "", "incident": ""})
    given = _given(request, workflow)
    try:
        change = changes.request_change(asking.ask(**given, by=acting(request)))
    except Refusal as refusal:
        record_refusal(
            refusal, attempted="change.break_glass", subject=workflow.slug, actor=acting(request).actor
        )
        shown = {**given, "incident": given["emergency"].incident}
        return _form(request, workflow, given=shown, refused=refusal)
    return redirect("orchestration:change", key=change.key)


@require_POST
@login_required
def preview(request: HttpRequest, slug: str) -> HttpResponse:
    """Who would have to agree to what is typed now. Stores nothing."""
    workflow = access.get_workflow_or_404(request.user, slug, may="request")
    return requests.previewed(request, _given(request, workflow))


@require_POST
@login_required
def conclude(request: HttpRequest, key: str) -> HttpResponse:
    """One person's conclusion on an emergency that is over."""
    change = access.get_change_or_404(request.user, key)
    reviewing.conclude(change, text=request.POST.get("conclusion", ""), by=acting(request))
    return redirect("orchestration:change", key=change.key)


def _given(request: HttpRequest, workflow: Workflow) -> dict[str, Any]:
    emergency = Emergency(request.POST.get("incident", ""))
    return {**requests.typed(request, workflow), "emergency": emergency}


def _places(request: HttpRequest) -> QuerySet[Environment]:
    """Where this person may break glass: nowhere that changes who must agree."""
    return access.visible_environments(request.user, "break_glass").exclude(slug=CONTROL_ROOM)


def _among(workflow: Workflow, places: QuerySet[Environment]) -> bool:
    version = workflow.active
    return version is not None and any(one.slug in version.environments for one in places)


def _form(
    request: HttpRequest, workflow: Workflow, *, given: dict[str, Any], refused: Refusal | None = None
) -> HttpResponse:
    places = access.requestable_environments(request.user, workflow.active)
    page = {
        "workflow": workflow,
        "given": given,
        "schema": forms.offered(requests.schema(workflow)),
        "services": access.requestable_services(request.user, workflow.active),
        "environments": places.filter(pk__in=_places(request)),
        "errors": requests.errors_of(refused),
    }
    status = refused.status if refused else 200
    return render(request, "orchestration/break_glass_form.html", page, status=status)
