"""The one map of addresses; each app brings its pages and its API."""

from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver, include, path

from approvals.api import urls as approvals_api
from orchestration.models import Environment


def healthz(request: HttpRequest) -> HttpResponse:
    """The process answers; /readyz says whether its servers do."""
    return HttpResponse("ok\n", content_type="text/plain")


def environment_slugs() -> set[str]:
    """What a freeze may name."""
    return set(Environment.objects.values_list("slug", flat=True))


urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", healthz),
    path("", include("accounts.pages.urls")),
    path("", include("approvals.pages.urls")),
    path("api/v1/", include(approvals_api.urls(environment_slugs))),
]
websocket_urlpatterns: list[URLPattern] = []
handler400 = "config.refusals.bad_request"
handler403 = "config.refusals.forbidden"
handler404 = "config.refusals.not_found"
handler500 = "config.refusals.broken"
