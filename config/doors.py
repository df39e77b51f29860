"""What holds at every door of the web process: no cache keeps a page for one pair of eyes; who only reads, reads."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers

from accounts import engagements
from accounts.acting import acting
from accounts.models import Engagement
from audit.refusals import Refusal
from config import refusals


class PrivateMiddleware:
    """`Cache-Control: no-store` on whatever was made for somebody, unless the view said otherwise."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if request.user.is_authenticated or request.path.startswith("/api/"):
            response.headers.setdefault("Cache-Control", "no-store")
            patch_vary_headers(response, ["Cookie", "Authorization"])
        return response


class EngagementMiddleware:
    """An external auditor reads until their time is over, changes nothing, and leaves an entry of what they opened."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        found: Engagement | None = getattr(request, "engagement", None)
        if found is not None and request.method == "GET" and response.status_code < HTTPStatus.BAD_REQUEST:
            query = request.META.get("QUERY_STRING", "")
            engagements.opened(found, request.path, query, by=acting(request).actor)
        return response

    def process_view(self, request: HttpRequest, *_: Any) -> HttpResponse | None:
        """Before any view: whatever the address, and whatever the account was granted."""
        found = engagements.of(request.user)
        if found is None:
            return None
        request.engagement = found  # type: ignore[attr-defined]  # for the way back
        try:
            engagements.check(found, str(request.method), request.path)
        except Refusal as refusal:
            request.engagement = None  # type: ignore[attr-defined]  # nothing was opened
            refusals.keep(refusal, request, {})
            return refusals.answer(request, refusal)
        return None
