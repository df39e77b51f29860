"""The one map of addresses; each app brings its pages and its API."""

from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver, path


def healthz(request: HttpRequest) -> HttpResponse:
    """The process answers; /readyz says whether its servers do."""
    return HttpResponse("ok\n", content_type="text/plain")


urlpatterns: list[URLPattern | URLResolver] = [path("healthz", healthz)]
websocket_urlpatterns: list[URLPattern] = []
