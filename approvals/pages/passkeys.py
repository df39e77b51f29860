"""One's own passkeys: enrol, see, revoke. Parses, calls one function, answers."""

import json
from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.views.decorators.http import require_http_methods, require_POST

from accounts.acting import acting
from approvals import ceremony, enrolment
from approvals.enrolment import PasskeyNotMade
from audit.refusals import Refusal


@require_http_methods(["GET", "POST"])
@login_required
def passkeys(request: HttpRequest) -> HttpResponse:
    """The list, and the form that enrols another."""
    if request.method != "POST":
        return _show(request)
    try:
        ceremony.enrol(
            request, credential=_json(request.POST.get("credential", "")), name=request.POST.get("name", "")
        )
    except Refusal as refusal:
        return _show(request, refusal=refusal)
    return HttpResponseRedirect("/me/passkeys/")


@require_POST
@login_required
def revoke(request: HttpRequest, key: UUID) -> HttpResponse:
    """End one of one's passkeys."""
    enrolment.revoke(key, by=acting(request))
    return HttpResponseRedirect("/me/passkeys/")


def _json(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise PasskeyNotMade(
            "The browser made no passkey, so nothing was stored. It needs JavaScript and a device that can."
        )
    return found


def _show(request: HttpRequest, *, refusal: Refusal | None = None) -> HttpResponse:
    context = {
        "passkeys": enrolment.mine(acting(request)),
        "error": str(refusal) if refusal else "",
        "name": request.POST.get("name", "") if refusal else "",
    }
    return render(request, "approvals/passkeys.html", context, status=refusal.status if refusal else 200)
