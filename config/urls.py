"""The one map of addresses; each app brings its pages and its API."""

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest
from django.urls import URLPattern, URLResolver, include, path
from rest_framework.request import Request

from accounts import once
from accounts.acting import acting
from approvals.api import whatif
from approvals.pages import replays
from approvals.pages.simulate import simulator
from approvals.pages.why import decided
from audit.api import urls as audit_api
from audit.ledger.entry import Actor
from audit.pages import urls as audit_pages
from config import go, probes, security_txt, styleguide
from orchestration import access, asking
from orchestration.consumers import Live
from orchestration.pages.trace import records_of


def may_see_change(user: Any, key: str) -> bool:
    """Whether this account may look at a past change again, for the floors below orchestration."""
    number = key.removeprefix("CHG-")
    return number.isdecimal() and access.visible_changes(user).filter(number=int(number)).exists()


def seen_changes(user: Any) -> list[str]:
    """The keys of the changes that this account may see, for the floors below orchestration."""
    return [f"CHG-{number}" for number in access.visible_changes(user).values_list("number", flat=True)]


def facts_of_form(request: Request, form: Mapping[str, Any]) -> dict[str, Any]:
    """What policy would read if this form were sent, for the floors below orchestration."""
    facts: dict[str, Any] = asking.preview(**form, by=acting(request))["facts"]
    return facts


def actor_of(request: HttpRequest) -> Actor:
    """Who sent a request, for the floors below accounts."""
    return acting(request).actor


api_urls: list[URLPattern | URLResolver] = [
    path("", include("accounts.api.urls")),
    path("", include(whatif.urls(may_see_change, seen_changes, facts_of_form))),
    path("", include("approvals.api.urls")),
    path("", include(audit_api.urls(actor_of, once.respond))),
    path("", include("orchestration.api.urls")),
]
urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", probes.healthz),
    path("readyz", probes.readyz),
    path("metrics", probes.Metrics.as_view()),
    path(".well-known/security.txt", security_txt.security_txt),
    path("go/<str:key>/", go.go, name="go"),
    path("api/", include("config.schema")),
    path("api/v1/", include(api_urls)),
    path("", include("accounts.pages.urls")),
    path("", include("orchestration.pages.urls")),
    path("policies/simulate/", simulator(may_see_change, records_of), name="simulate"),
    path("policies/decisions/<uuid:key>/", decided(records_of), name="decision"),
    path("", include(replays.urls(seen_changes, records_of))),
    path("", include("approvals.pages.urls")),
    path("", include(audit_pages.urls(actor_of))),
    path("styleguide/", login_required(styleguide.styleguide)),
]
websocket_urlpatterns: list[URLPattern] = [path("ws/", Live.as_asgi())]
handler400 = "config.refusals.bad_request"
handler403 = "config.refusals.forbidden"
handler404 = "config.refusals.not_found"
handler500 = "config.refusals.broken"
