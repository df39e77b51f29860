"""How an API request proves who sends it: `Authorization: Bearer`, or the browser's session with CSRF.

A token in a query string or a body is never read. A request with a bad token is refused, not tried as a session.
"""

from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from accounts import rates, tokens
from accounts.models import Token, User
from audit.refusals import NotAllowed, Refusal

SCHEME = "Bearer"
FOREIGN = "Nothing was done: the request did not come from a page of this server. Reload and repeat."
ANY = ""  # the scope that every token has
SAFE = ("GET", "HEAD", "OPTIONS")


class BadToken(Refusal):
    """The Authorization header opens nothing."""

    code = "bad_token"
    status = 401


class DeadToken(BadToken):
    """A token that was good once: its account is known, so the attempt is recorded."""

    def __init__(self, message: str, *, user: User) -> None:
        super().__init__(message)
        self.user = user


class CsrfFailed(NotAllowed):
    """The request did not come from our page."""

    code = "csrf_failed"


class ScopeMissing(NotAllowed):
    """The token is good, but not for this."""

    code = "scope_missing"


class SessionOnly(NotAllowed):
    """Only a person in a browser may do this; above all, sign off."""

    code = "session_only"


class BearerAuthentication(BaseAuthentication):
    """The account of the token in the header."""

    def authenticate(self, request: Request) -> tuple[User, Token] | None:
        header = request.headers.get("Authorization")
        if header is None:
            return None
        scheme, _, value = header.partition(" ")
        if scheme.lower() != SCHEME.lower() or not value.startswith("cs_"):
            raise BadToken("Nothing was done: Authorization holds no token of this server.")
        return _account(value, at=datetime.now(UTC))

    def authenticate_header(self, request: Request) -> str:
        return SCHEME


class CsrfSession(SessionAuthentication):
    """The browser's session. An unsafe request also carries the CSRF token and comes from our origin."""

    def authenticate(self, request: Request) -> tuple[Any, None] | None:
        user = getattr(request._request, "user", None)
        if not isinstance(user, User) or not user.is_active:
            return None
        self._from_our_page(request)
        return user, None

    def _from_our_page(self, request: Request) -> None:
        try:
            self.enforce_csrf(request._request)  # type: ignore[arg-type]  # the plain one: no parser runs yet
        except PermissionDenied as error:
            raise CsrfFailed(FOREIGN) from error


class ScopedPermission(BasePermission):
    """A session may knock at every door; a token only where the view names its scope for this verb.

    A view says `scopes = {"GET": "changes:read", "POST": "changes:write"}`. A verb that is not named takes no token.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        if not isinstance(request.user, User):
            return False
        if not isinstance(request.auth, Token):
            return True
        scopes: dict[str, str] = getattr(view, "scopes", {})
        verb = "GET" if request.method in SAFE else str(request.method)
        needed = scopes.get(verb)
        if needed is None:
            raise SessionOnly("A token cannot do this; sign in with a browser.")
        if needed != ANY and needed not in request.auth.usable:
            if needed in request.auth.scopes:
                raise tokens.BeyondCeiling(
                    f"Nothing was done: no token of {request.user.name} may have {needed} any more, whatever was"
                    " given. Ask for it: account-scopes."
                )
            raise ScopeMissing(f"Nothing was done: this needs a token with the scope {needed}.")
        return True


class AccountThrottle(BaseThrottle):
    """So many requests a minute for each account, whatever the number of its tokens."""

    def allow_request(self, request: Request, view: Any) -> bool:
        if isinstance(request.user, User):
            _spend(request.user, at=datetime.now(UTC))
        return True


def client_address(request: HttpRequest) -> str:
    """The peer's address, or what a proxy on this machine says it is: the web server believes nobody else."""
    return str(request.META.get("REMOTE_ADDR", ""))[:45]


def _account(value: str, *, at: datetime) -> tuple[User, Token]:
    token = tokens.find(value)
    if token is None:
        raise BadToken("Nothing was done: this token is not known.")
    if reason := tokens.why_not(token, at=at):
        _spend(token.user, at=at)
        raise DeadToken(f"Nothing was done. {reason}", user=token.user)
    tokens.seen(token, at=at)
    return token.user, token


def _spend(user: User, *, at: datetime) -> None:
    rates.spend(f"api:{user.pk}", rates.Limit(settings.API_RATE, seconds=60), at=at)
