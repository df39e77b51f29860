"""Who the API believes: a token in the header within its scopes, or a session with CSRF from our own page."""

import json
from datetime import timedelta
from uuid import uuid4

import pytest
from django.test import Client

from accounts import teams, tokens
from accounts.acting import Acting
from accounts.models import Token
from accounts.tokens import SCOPES
from audit.models import Entry
from tests.accounts.cast import NOW, TEST, bearer, issue, kinds, person

pytestmark = pytest.mark.django_db(transaction=True)
DOORS = {
    ("GET", "/api/v1/me/"): set(SCOPES),
    ("GET", "/api/v1/me/tokens/"): {"admin"},
    ("POST", "/api/v1/me/tokens/"): {"admin"},
    ("GET", "/api/v1/teams/"): {"changes:read"},
    ("GET", "/metrics"): {"reports:read"},
    ("GET", "/api/schema/"): set(SCOPES),
}


def call(method: str, address: str, **more):
    return Client().generic(method, address, "{}", content_type="application/json", **more)


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize(("method", "address"), DOORS)
def test_a_token_opens_the_doors_of_its_scopes_and_no_other(method, address, scope):
    answer = call(method, address, **bearer(issue(person("Sam", superuser=True), scope)))
    opened = scope in DOORS[method, address]
    assert (answer.status_code == 403) is not opened


def test_a_token_in_the_address_or_the_body_is_not_read():
    value = issue(person("Mara"), "changes:read").value
    for name in ("token", "access_token", "authorization", "Authorization"):
        assert call("GET", f"/api/v1/me/?{name}={value}").status_code == 401
    body = json.dumps({"access_token": value})
    answer = Client().generic("POST", "/api/v1/me/tokens/", body, content_type="application/json")
    assert answer.status_code == 401


@pytest.mark.parametrize("value", ["", "cs_", "cs_00_x", "Basic abc", "cs_\u00e9", "cs_" + "a" * 5000])
def test_a_token_that_is_none_is_refused_even_beside_a_session(value):
    client = Client()
    client.force_login(person("Mara"))
    answer = client.get("/api/v1/me/", headers={"Authorization": f"Bearer {value}"})
    assert (answer.status_code, answer.json()["code"]) == (401, "bad_token")


def test_a_dead_token_is_refused_and_the_attempt_is_its_accounts():
    mara = person("Mara")
    revoked = issue(mara, "changes:read")
    tokens.revoke(revoked.token, by=Acting(mara, "session"))
    answer = call("GET", "/api/v1/me/", **bearer(revoked))
    assert (answer.status_code, answer.json()["code"]) == (401, "bad_token")
    entry = Entry.objects.latest("id")
    assert (entry.kind, entry.actor) == ("attempt.refused", str(mara.pk))


def test_the_token_of_a_deactivated_account_opens_nothing():
    mara = person("Mara")
    issued = issue(mara, "changes:read")
    teams.deactivate(mara, by=TEST)
    assert call("GET", "/api/v1/me/", **bearer(issued)).status_code == 401


def test_use_is_noted_at_most_once_a_minute():
    issued = issue(person("Mara"), "changes:read")
    call("GET", "/api/v1/me/", **bearer(issued))
    first = Token.objects.get().last_used_at
    call("GET", "/api/v1/me/", **bearer(issued))
    assert first is not None
    assert Token.objects.get().last_used_at == first


def token_request(client: Client, **headers: str):
    body = {"name": "ci", "scopes": ["changes:read"], "expires_at": (NOW + timedelta(days=1)).isoformat()}
    return client.post(
        "/api/v1/me/tokens/",
        json.dumps(body),
        content_type=headers.pop("content_type", "application/json"),
        headers={"Idempotency-Key": str(uuid4()), **headers},
    )


def signed_in() -> tuple[Client, str]:
    """A browser with CSRF checks on, and the token that its pages carry."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(person("Mara"))
    client.get("/me/")
    return client, client.cookies["csrftoken"].value


def test_a_session_with_our_csrf_token_may_write():
    client, csrf = signed_in()
    assert token_request(client, **{"X-CSRFToken": csrf}).status_code == 201


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-CSRFToken": "x" * 32},
        {"X-CSRFToken": "own", "Origin": "https://evil.example"},
        {"X-CSRFToken": "own", "Origin": "null"},
        {"content_type": "text/plain"},
        {"content_type": "application/x-www-form-urlencoded"},
    ],
)
def test_a_session_without_it_writes_nothing_and_the_attempt_is_recorded(headers):
    client, csrf = signed_in()
    headers = {name: csrf if value == "own" else value for name, value in headers.items()}
    answer = token_request(client, **headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "csrf_failed")
    assert kinds()[-1] == "attempt.refused"
    assert not Token.objects.exists()


def test_a_form_that_a_foreign_page_could_send_is_not_taken():
    client, csrf = signed_in()
    answer = token_request(client, content_type="text/plain", **{"X-CSRFToken": csrf})
    assert answer.status_code == 415
    for header in ("X-HTTP-Method-Override", "X-Method-Override"):
        assert client.get("/api/v1/me/tokens/", headers={header: "POST"}).status_code == 200
    assert not Token.objects.exists()


def test_a_token_is_made_once_and_its_value_shown_once():
    sam = person("Sam", superuser=True)
    parent = bearer(issue(sam, "admin", "changes:read"))["headers"]["Authorization"]
    key = {"Authorization": parent, "Idempotency-Key": "one"}
    first, again = token_request(Client(), **key), token_request(Client(), **key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert first.json()["value"].startswith("cs_" + first.json()["prefix"])
    assert again.json() == {**first.json(), "value": None}
    assert Token.objects.count() == 2


def test_a_list_is_read_page_by_page_without_loss():
    sam = person("Sam", superuser=True)
    made = {str(issue(sam, "admin", "changes:read").token.pk) for _ in range(7)}
    access = bearer(issue(sam, "admin"))
    address, seen = "/api/v1/me/tokens/?limit=3", []
    while address:
        page = call("GET", address, **access).json()
        assert list(page) == ["next", "results"]
        seen += [one["id"] for one in page["results"]]
        address = page["next"]
    assert len(seen) == len(set(seen)) == 8
    assert made <= set(seen)
