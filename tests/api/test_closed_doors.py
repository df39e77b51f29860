"""Nobody in particular gets in anywhere, whatever addresses there will be: the map itself is walked."""

import re

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

pytestmark = pytest.mark.django_db  # a stranger leaves nothing, so a rolled back transaction is enough
# Open to everybody, each for a reason.
OPEN = {
    "healthz": "a balancer asks it",
    "readyz": "a balancer asks it",
    "accounts/login/": "where one signs in",
    "accounts/logout/": "sends strangers to the sign-in page",
}
OPEN_BELOW = (
    "audit/log/",  # checkpoints and tiles are public so that anybody can verify; leaves are not in them
    "static/",
)
VALUES = {"int": "1", "uuid": "019a0000-0000-7000-8000-000000000000", "path": "x/001"}


def addresses(patterns: list[URLPattern | URLResolver], at: str = "") -> list[str]:
    found = []
    for one in patterns:
        route = at + str(one.pattern).lstrip("^")
        found += (
            addresses(one.url_patterns, route) if isinstance(one, URLResolver) else [route.rstrip("$\\Z")]
        )
    return found


ALL = sorted(set(addresses(get_resolver().url_patterns)))


def concrete(route: str) -> str:
    """The route with something in each of its places."""
    return "/" + re.sub(r"<(?:(\w+):)?\w+>", lambda m: VALUES.get(m[1] or "", "CHG-1"), route)


def test_the_walk_finds_the_addresses():
    assert {"me/", "api/v1/me/", "api/v1/teams/<str:key>/", "go/<str:key>/"} <= set(ALL)


@pytest.mark.parametrize("route", [one for one in ALL if one not in OPEN and not one.startswith(OPEN_BELOW)])
def test_a_stranger_is_sent_away(route):
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"):
        answer = Client(raise_request_exception=False).generic(method, concrete(route))
        assert answer.status_code in {302, 401, 403, 404, 405}, (method, answer.content[:200])
        if answer.status_code == 302:
            assert answer.headers["Location"].startswith(("/accounts/login/", "/welcome/"))
        if route.startswith("api/v1/"):
            assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("route", ALL)
def test_no_address_can_be_framed_or_guessed_into_another_type(route):
    answer = Client(raise_request_exception=False).get(concrete(route))
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
