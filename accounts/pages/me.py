"""One's own profile: teams, tokens, sessions, appearance. Nobody else's."""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_POST

from accounts import ceiling, tokens
from accounts.acting import acting
from accounts.models import Team, Token, User
from accounts.sessions import SignedIn, end, signed_in
from audit.refusals import Invalid, Refusal
from audit.rest.lookup import by_key

THEMES = ("light", "dark")
YEAR_SECONDS = 365 * 24 * 3600
LIVES = {"7": "7 days", "30": "30 days", "90": "90 days", "365": "1 year"}


@require_GET
@login_required
def profile(request: HttpRequest) -> HttpResponse:
    """GET /me/"""
    return _show(request)


@require_POST
@login_required
def create_token(request: HttpRequest) -> HttpResponse:
    """Make a token and show its value on this very page, once."""
    now, by = datetime.now(UTC), acting(request)
    try:
        issued = tokens.create(
            user=_account(request, by.user),
            name=_name(request),
            scopes=request.POST.getlist("scopes"),
            expires_at=now + _life(request),
            by=by,
            at=now,
        )
    except Invalid as refusal:
        return _show(request, refusal=refusal)
    return _show(request, value=issued.value)


@require_POST
@login_required
def revoke_token(request: HttpRequest, token: str) -> HttpResponse:
    """End one of one's tokens."""
    by = acting(request)
    tokens.revoke(by_key(Token.objects.answered_for_by(by.user), token, field="prefix"), by=by)
    return HttpResponseRedirect("/me/#tokens")


@require_POST
@login_required
def narrow(request: HttpRequest, machine: str) -> HttpResponse:
    """Take one scope from the tokens of a machine."""
    by = acting(request)
    found = by_key(ceiling.narrowable_by(by.user), machine, field="username")
    ceiling.narrow(found, request.POST.getlist("scopes"), by=by)
    return HttpResponseRedirect("/me/#machines")


@require_POST
@login_required
def end_session(request: HttpRequest, handle: str) -> HttpResponse:
    """Sign out another browser of one's own."""
    end(acting(request), handle)
    return HttpResponseRedirect("/me/#sessions")


@require_POST
@login_required
def theme(request: HttpRequest) -> HttpResponse:
    """Light, dark or as the system; kept by the browser."""
    chosen = request.POST.get("theme", "")
    answer = HttpResponseRedirect("/me/")
    if chosen in THEMES:
        answer.set_cookie("theme", chosen, max_age=YEAR_SECONDS, samesite="Lax", secure=request.is_secure())
    else:
        answer.delete_cookie("theme")
    return answer


def _show(request: HttpRequest, *, value: str = "", refusal: Refusal | None = None) -> HttpResponse:
    user = acting(request).user
    context: dict[str, Any] = {
        "teams": Team.objects.of(user).order_by("name"),
        "tokens": Token.objects.answered_for_by(user).order_by("-id"),
        "machines": ceiling.narrowable_by(user).order_by("username"),
        "now": datetime.now(UTC),
        "value": value,
        "errors": refusal.errors if refusal else [],
        "fields": _fields(request, refusal),
        "scopes": _scopes(request, user),
        "sessions": _sessions(request, user),
        "theme": request.COOKIES.get("theme", ""),
    }
    return render(request, "accounts/me.html", context, status=refusal.status if refusal else 200)


def _fields(request: HttpRequest, refusal: Refusal | None) -> list[dict[str, Any]]:
    given = request.POST if refusal else {}
    wrong = {one["pointer"]: one["detail"] for one in refusal.errors} if refusal else {}
    life = given.get("days", "30")
    accounts = _accounts(acting(request).user)
    account = given.get("account", accounts[0].username)
    return [
        {
            "name": "name",
            "id": "f-name",
            "label": "What uses it",
            "kind": "text",
            "required": True,
            "value": given.get("name", ""),
            "example": "ci@payments",
            "error": wrong.get("/name", ""),
        },
        {
            "name": "days",
            "id": "f-expires_at",
            "label": "Ends after",
            "kind": "select",
            "required": True,
            "value": life,
            "options": [(value, words, value == life) for value, words in LIVES.items()],
            "error": wrong.get("/expires_at", ""),
        },
        {
            "name": "account",
            "id": "f-account",
            "label": "Acts as",
            "kind": "select",
            "required": True,
            "value": account,
            "options": [(one.username, one.name, one.username == account) for one in accounts],
            "error": wrong.get("/account", ""),
        },
    ]


def _accounts(user: User) -> list[User]:
    """Oneself, and the machines that one answers for."""
    machines = User.objects.filter(person=user.person_id, kind=User.Kind.SERVICE, is_active=True)
    return [user, *machines.order_by("username")]


def _account(request: HttpRequest, user: User) -> User:
    """Whom the token is for."""
    username = request.POST.get("account", user.username)
    for one in _accounts(user):
        if one.username == username:
            return one
    words = "Choose an account that you answer for."
    raise Invalid(f"No token was made. {words}", errors=[{"pointer": "/account", "detail": words}])


def _scopes(request: HttpRequest, user: User) -> list[tuple[str, bool]]:
    chosen = request.POST.getlist("scopes") or ["changes:read"]
    return [(one, one in chosen) for one in tokens.SCOPES if one != "admin" or user.is_superuser]


def _sessions(request: HttpRequest, user: User) -> list[SignedIn]:
    return signed_in(user, current=request.session.session_key or "", at=datetime.now(UTC))


def _name(request: HttpRequest) -> str:
    name = request.POST.get("name", "").strip()
    if not 1 <= len(name) <= 100:
        words = "Give the token a name of at most 100 letters."
        raise Invalid(f"No token was made. {words}", errors=[{"pointer": "/name", "detail": words}])
    return name


def _life(request: HttpRequest) -> timedelta:
    days = request.POST.get("days", "")
    if days not in LIVES:
        words = "Choose when it ends."
        raise Invalid(f"No token was made. {words}", errors=[{"pointer": "/expires_at", "detail": words}])
    return timedelta(days=int(days))
