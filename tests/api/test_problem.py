"""Errors of the API.

The shape (RFC 9457, and the API contract): every error of every kind is `application/problem+json` with exactly

    type    a URI that names the kind of problem: urn:countersign:problem:<code>
    title   the kind in words, the same for every occurrence
    status  the HTTP status, as in the status line
    detail  what was not done and what to do, for a person
    code    stable, for a machine
    errors  [{"pointer": JSON pointer (RFC 6901), "detail": words}], empty when no single field is at fault
"""

import json
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client, override_settings
from django.urls import path
from rest_framework.views import APIView

from accounts.bearer import ANY
from audit.models import Entry
from config import urls as real
from tests.accounts.cast import NOW, bearer, issue, kinds, person

pytestmark = pytest.mark.django_db(transaction=True)


class Breaks(APIView):
    """A door with a fault of ours."""

    scopes = {"GET": ANY}

    def get(self, request):
        raise KeyError("secret-detail")


class Broken:
    urlpatterns = [path("api/v1/breaks/", Breaks.as_view()), *real.urlpatterns]
    handler500 = real.handler500
    handler404 = real.handler404


def send(method: str, address: str, body=None, *, content_type="application/json", key=True, **more):
    headers = {"Idempotency-Key": str(uuid4())} if key else {}
    headers.update(more.pop("headers", {}))
    data = body if isinstance(body, bytes | str) else json.dumps(body)
    client = Client(raise_request_exception=False)
    return client.generic(method, address, data, content_type=content_type, headers=headers, **more)


@pytest.fixture
def admin():
    return bearer(issue(person("Sam", superuser=True), "admin", "changes:read"))


NEW = {"name": "ci", "scopes": ["changes:read"], "expires_at": NOW.isoformat()}
CASES: list[tuple[str, str, Any, dict[str, Any], int, str]] = [
    ("GET", "/api/v1/me/tokens/nope/", None, {}, 404, "not_found"),
    ("GET", "/api/v1/nope/", None, {}, 404, "not_found"),
    ("GET", "/api/v1/teams/nope/", None, {}, 404, "not_found"),
    ("DELETE", "/api/v1/teams/", None, {}, 403, "session_only"),
    ("GET", "/api/v1/me/tokens/?limit=0", None, {}, 422, "invalid"),
    ("GET", "/api/v1/me/tokens/?cursor=zz", None, {}, 422, "invalid"),
    ("GET", "/api/v1/teams/?q=%00", None, {}, 400, "malformed"),
    ("POST", "/api/v1/me/tokens/", "{", {}, 400, "malformed"),
    ("POST", "/api/v1/me/tokens/", b"\xff", {}, 400, "malformed"),
    ("POST", "/api/v1/me/tokens/", NEW, {"key": False}, 400, "idempotency_key_missing"),
    ("POST", "/api/v1/me/tokens/", NEW, {"content_type": "text/plain"}, 415, "media_type_not_taken"),
    ("POST", "/api/v1/me/tokens/", {}, {}, 422, "invalid"),
    ("POST", "/api/v1/me/tokens/", [], {}, 422, "invalid"),
    ("POST", "/api/v1/me/tokens/", {**NEW, "id": "x"}, {}, 422, "invalid"),
    ("POST", "/api/v1/me/tokens/", '{"name": "a", "name": "b"}', {}, 422, "invalid"),
    ("POST", "/api/v1/me/tokens/", '{"name": NaN}', {}, 422, "invalid"),
    ("POST", "/api/v1/me/tokens/", "[" * 100_000, {}, 422, "invalid"),
    ("POST", "/api/v1/me/tokens/", {"name": [[[[]]] * 9000]}, {}, 422, "invalid"),
    ("POST", "/api/v1/me/tokens/", '{"name": "\\u0000"}', {}, 422, "invalid"),
    ("POST", "/api/v1/me/tokens/", '{"name": "\\ud800"}', {}, 422, "invalid"),
    ("POST", "/api/v1/me/tokens/", '{"name": ' + "9" * 5000 + "}", {}, 422, "invalid"),
    ("POST", "/api/v1/me/tokens/", "x" * 1_100_000, {}, 413, "too_large"),
]


@pytest.mark.parametrize(("method", "address", "body", "more", "status", "code"), CASES)
def test_every_error_has_the_one_shape(admin, method, address, body, more, status, code):
    answer = send(method, address, body, **admin, **more)
    shown = answer.json()
    assert (answer.status_code, shown["code"], shown["status"]) == (status, code, status)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert list(shown) == ["type", "title", "status", "detail", "code", "errors"]
    assert shown["type"] == f"urn:countersign:problem:{code}"
    assert all(set(one) == {"pointer", "detail"} for one in shown["errors"])


def test_a_verb_that_an_address_does_not_take_is_405():
    client = Client(headers={"Accept": "application/json"})
    client.force_login(person("Mara"))
    answer = client.delete("/api/v1/teams/")
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")


@override_settings(ROOT_URLCONF=Broken)
def test_a_fault_of_ours_gives_a_reference_and_no_detail(admin):
    answer = send("GET", "/api/v1/breaks/", **admin)
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert b"secret-detail" not in answer.content
    assert "reference" in answer.json()["detail"]


def test_nobody_is_asked_for_a_token():
    answer = send("GET", "/api/v1/me/")
    assert (answer.status_code, answer.json()["code"]) == (401, "not_signed_in")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_single_fields_are_named_by_pointer(admin):
    answer = send("POST", "/api/v1/me/tokens/", {**NEW, "scopes": ["x"], "user/id": "1"}, **admin)
    assert [one["pointer"] for one in answer.json()["errors"]] == ["/user~1id"]
    answer = send("POST", "/api/v1/me/tokens/", {**NEW, "scopes": ["changes:read", "x"]}, **admin)
    assert [one["pointer"] for one in answer.json()["errors"]] == ["/scopes/1"]


@pytest.mark.parametrize(
    "field",
    [
        "id",
        "user",
        "sha256",
        "prefix",
        "version",
        "created_at",
        "revoked_at",
        "is_staff",
        "is_superuser",
        "approver",
    ],
)
def test_a_field_that_is_not_taken_is_refused_and_the_attempt_recorded(admin, field):
    before = len(kinds())
    answer = send("POST", "/api/v1/me/tokens/", {**NEW, field: "x"}, **admin)
    assert answer.status_code == 422
    entry = Entry.objects.latest("id")
    assert (len(kinds()), entry.kind) == (before + 1, "attempt.refused")
    assert b"POST /api/v1/me/tokens/" in bytes(entry.body)


def test_what_nobody_in_particular_sent_is_not_recorded():
    send("POST", "/api/v1/me/tokens/", NEW)
    send("POST", "/api/v1/me/tokens/", NEW, headers={"Authorization": "Bearer cs_0000_nothing"})
    assert kinds() == []


def test_too_many_requests_say_when_to_come_back(settings, admin):
    settings.API_RATE = 3
    answers = [send("GET", "/api/v1/me/", **admin) for _ in range(4)]
    assert [one.status_code for one in answers] == [200, 200, 200, 429]
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60
    assert answers[-1].json()["code"] == "too_many_requests"
