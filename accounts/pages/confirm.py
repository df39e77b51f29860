"""Confirm that it is you: the password once more, then back to where one was. In a demo: the switch once more."""

from datetime import UTC, datetime

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from accounts import recent
from accounts.acting import acting


@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def confirm(request: HttpRequest) -> HttpResponse:
    """GET asks; POST confirms and goes back."""
    by, then = acting(request), _back(request)
    if request.method != "POST":
        return _page(request, then)
    try:
        recent.confirm(request, request.POST.get("password", ""), by=by, at=datetime.now(UTC))
    except recent.PasswordWrong as refusal:
        return _page(request, then, error=str(refusal))
    return HttpResponseRedirect(then)


def _page(request: HttpRequest, then: str, error: str = "") -> HttpResponse:
    by = acting(request)
    context = {"then": then, "error": error, "switched": by.persona_switched}
    return render(request, "accounts/confirm.html", context, status=403 if error else 200)


def _back(request: HttpRequest) -> str:
    """Only a path of this server."""
    then = request.POST.get("next") or request.GET.get("next") or "/"
    own = then.startswith("/") and url_has_allowed_host_and_scheme(then, allowed_hosts=None)
    return then if own else "/"
