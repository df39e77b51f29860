"""The demo's first page and its switch of person. Outside a demo both are not found."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_GET, require_POST

from accounts import personas
from audit.refusals import NotFound


@require_GET
def welcome(request: HttpRequest) -> HttpResponse:
    """Who you can be, with one button to begin as the first."""
    _only_in_a_demo()
    people = list(personas.people())
    return render(
        request, "accounts/welcome.html", {"first": people[0] if people else None, "others": people[1:]}
    )


@require_POST
def persona(request: HttpRequest) -> HttpResponse:
    """Continue as somebody else, where one was."""
    _only_in_a_demo()
    personas.switch(request, request.POST.get("persona", ""))
    to = request.POST.get("next", "/")
    return HttpResponseRedirect(to if url_has_allowed_host_and_scheme(to, allowed_hosts=None) else "/")


def _only_in_a_demo() -> None:
    if not settings.DEMO:
        raise NotFound("There is nothing at this address.")
