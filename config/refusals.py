"""The one mapping of a refusal: to a page or fragment, to problem+json, and to a ledger entry.

Every error of a door passes here. What is refused to somebody who is known, and would have changed something or was
forbidden, is recorded: who, what, why. What nobody in particular sent is not, so that nobody can fill the ledger.
"""

import json
import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import BadRequest, PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from accounts.acting import Acting, acting
from accounts.bearer import FOREIGN, SAFE, SCHEME, CsrfFailed, DeadToken
from accounts.models import User
from audit.ledger.entry import Actor
from audit.ledger.record import record_refusal
from audit.refusals import Invalid, NotAllowed, NotFound, Refusal, TooMany
from audit.rest.problem import MEDIA_TYPE, problem
from audit.rest.strict import Malformed, pointers

log = logging.getLogger("countersign.refusals")
PAGES = {400, 403, 404, 409, 422, 429, 500}
NOT_ALLOWED = "Nothing was done: you are not allowed to do this."
UNREADABLE = "Nothing was done: the request cannot be read."
NOT_FOUND = "There is nothing at this address, or it is not yours to see."


class NotSignedIn(Refusal):
    """Nobody is known to have sent this."""

    code = "not_signed_in"
    status = 401


class MethodNotAllowed(Refusal):
    """This address does not take this verb."""

    code = "method_not_allowed"
    status = 405


class NotAcceptable(Refusal):
    """No answer in the form that was asked for."""

    code = "not_acceptable"
    status = 406


class MediaTypeNotTaken(Refusal):
    """Only JSON in UTF-8."""

    code = "media_type_not_taken"
    status = 415


class TooLarge(Refusal):
    """The body is larger than anything that belongs here."""

    code = "too_large"
    status = 413


class BrokenInside(Refusal):
    """A fault of ours."""

    code = "internal"
    status = 500


# What the frameworks raise, in our words.
SAID: list[tuple[tuple[type[Exception], ...], tuple[type[Refusal], str]]] = [
    ((Http404, exceptions.NotFound), (NotFound, NOT_FOUND)),
    (
        (exceptions.NotAuthenticated, exceptions.AuthenticationFailed),
        (NotSignedIn, "Nothing was done: sign in, or send a token as Authorization: Bearer."),
    ),
    ((PermissionDenied, exceptions.PermissionDenied), (NotAllowed, NOT_ALLOWED)),
    ((exceptions.NotAcceptable,), (NotAcceptable, "The API answers in JSON only.")),
    (
        (exceptions.UnsupportedMediaType,),
        (MediaTypeNotTaken, "Nothing was done: send JSON as application/json."),
    ),
    ((RequestDataTooBig,), (TooLarge, "Nothing was done: the body is too large.")),
    ((exceptions.ParseError, SuspiciousOperation, BadRequest), (Malformed, UNREADABLE)),
]


def as_refusal(error: BaseException) -> Refusal | None:
    """The refusal that this error is; None for a fault of ours."""
    match error:
        case Refusal():
            return error
        case exceptions.ValidationError():
            return Invalid("Nothing was done: the input does not fit.", errors=pointers(error.detail))
        case exceptions.MethodNotAllowed():
            return MethodNotAllowed(f"Nothing was done: {error.detail}")
    found = next((say for kinds, say in SAID if isinstance(error, kinds)), None)
    return found[0](found[1]) if found else None


def api_refusal(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's handler: every error as problem+json."""
    refusal = as_refusal(error)
    if refusal is None:
        return None
    set_rollback()
    request = context["request"]
    keep(refusal, request, context.get("kwargs") or {})
    return Response(
        problem(refusal), status=refusal.status, headers=_headers(refusal), content_type=MEDIA_TYPE
    )


class RefusalMiddleware:
    """Pages: a refusal that a view raises becomes the error page, or stays inside the fragment that asked."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if "\0" in request.path or "%00" in request.META.get("QUERY_STRING", ""):
            return answer(request, Malformed(UNREADABLE))
        return self.get_response(request)

    def process_view(self, request: HttpRequest, *_: Any) -> HttpResponse | None:
        """A NUL that was typed would be a fault of ours in the database."""
        if request.method == "POST" and any("\0" in one for _, many in request.POST.lists() for one in many):
            return answer(request, Malformed(UNREADABLE))
        return None

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        refusal = as_refusal(error)
        if refusal is None:
            return None
        match = request.resolver_match
        keep(refusal, request, match.kwargs if match else {})
        return answer(request, refusal)


def keep(refusal: Refusal, request: Any, kwargs: dict[str, Any]) -> None:
    """The one place where a door's refusal enters the ledger."""
    plain: HttpRequest = getattr(request, "_request", request)  # DRF's own asks for credentials once more
    actor = _actor(refusal, plain)
    if actor is None or isinstance(refusal, TooMany):
        return
    if plain.method in SAFE and refusal.status not in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return
    record_refusal(refusal, attempted=_attempted(plain), subject=_subject(plain, kwargs), actor=actor)


def answer(request: HttpRequest, refusal: Refusal) -> HttpResponse:
    """The refusal in the form that this address speaks."""
    if request.path.startswith("/api/"):
        return HttpResponse(
            json.dumps(problem(refusal)),
            status=refusal.status,
            headers=_headers(refusal),
            content_type=MEDIA_TYPE,
        )
    if request.headers.get("HX-Request") == "true":
        template, context = "components/banner.html", {"state": "failed", "text": str(refusal), "title": ""}
    else:
        template, context = _page(refusal)
    response = render(request, template, context, status=refusal.status)
    for name, value in _headers(refusal).items():
        response[name] = value
    return response


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """handler400"""
    return answer(request, as_refusal(exception) or Malformed(UNREADABLE))


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """handler403"""
    return answer(request, as_refusal(exception) or NotAllowed(NOT_ALLOWED))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """handler404"""
    return answer(request, NotFound(NOT_FOUND))


def broken(request: HttpRequest) -> HttpResponse:
    """handler500: says what did not happen and gives a reference that stands beside the traceback in the log."""
    reference = uuid4().hex[:8]
    log.error("reference %s", reference)
    words = f"Something in here failed, so this was not done. Try again, or give reference {reference} to an admin."
    request.user = AnonymousUser()  # the page must not ask the database again, which may be the fault
    return answer(request, BrokenInside(words))


def csrf_failed(request: HttpRequest, reason: str = "") -> HttpResponse:
    """CSRF_FAILURE_VIEW"""
    refusal = CsrfFailed(FOREIGN)
    match = request.resolver_match
    keep(refusal, request, match.kwargs if match else {})
    return answer(request, refusal)


def _page(refusal: Refusal) -> tuple[str, dict[str, Any]]:
    """The error page of this status; every status without one borrows that of a bad request."""
    status = refusal.status if refusal.status in PAGES else 400
    detail = "" if status == HTTPStatus.NOT_FOUND else str(refusal)  # that page's own words say more
    return f"errors/{status}.html", {"detail": detail, "errors": refusal.errors}


def _headers(refusal: Refusal) -> dict[str, str]:
    headers = {"Cache-Control": "no-store"}
    if isinstance(refusal, TooMany):
        headers["Retry-After"] = str(refusal.retry_after)
    if refusal.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = SCHEME
    return headers


def _actor(refusal: Refusal, request: HttpRequest) -> Actor | None:
    if isinstance(refusal, DeadToken):
        return Acting(user=refusal.user, auth="token").actor
    user = getattr(request, "user", None)
    return acting(request).actor if isinstance(user, User) and user.is_active else None


def _attempted(request: HttpRequest) -> str:
    """What was tried: the verb and the route, never the body."""
    match = request.resolver_match
    return f"{request.method} /{match.route if match else ''}"[:200]


def _subject(request: HttpRequest, kwargs: dict[str, Any]) -> str:
    """What it was tried on: the key in the address, or the address."""
    return str(next(iter(kwargs.values()), request.path))[:200]
