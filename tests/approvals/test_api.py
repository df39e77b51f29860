"""What machines and pages may ask about policy and freezes."""

import json
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from accounts import permissions
from accounts.models import Team
from approvals.models import Decision, Freeze, Window
from audit.ledger.record import record
from orchestration.models import Environment
from tests.approvals.cast import TEST, facts, person

pytestmark = [
    pytest.mark.django_db(transaction=True),  # a refusal is recorded after the rollback
    pytest.mark.filterwarnings("ignore:No directory at"),  # static files are collected in production only
]


@pytest.fixture
def production(bank) -> Environment:
    with transaction.atomic():
        row = Environment.objects.create(slug="production", name="Production", tier=1, position=3)
        record("environment.created", of=row, subject="production", actor=TEST)
    permissions.grant(Team.objects.get(slug="payments"), "view", row, by=TEST)
    return row


@pytest.fixture
def send(client):
    """One JSON request as somebody in a browser; the status and the body."""

    def ask(user, method, path, body=None, **headers):
        client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        sent = {} if body is None else {"data": json.dumps(body), "content_type": "application/json"}
        response = getattr(client, method)(path, headers=headers, **sent)
        return response.status_code, response.json() if response.content else None, response

    return ask


def test_the_active_policy_is_shown_with_its_rules_and_sources(bank, send):
    status, body, _ = send(bank.ines, "get", "/api/v1/policies/")
    assert status == 200
    assert body[0]["active"]["digest"] == bank.bundle.digest
    assert {"id", "title", "description", "answers", "place"} == set(body[0]["active"]["rules"][0])
    assert "owner.rego" in body[0]["active"]["sources"]


def test_versions_are_listed_and_found_by_digest_and_id(bank, send):
    _, body, _ = send(bank.ines, "get", "/api/v1/policies/change/versions/")
    assert [row["serial"] for row in body["results"]] == [1]
    for key in (bank.bundle.digest, str(bank.bundle.pk)):
        assert send(bank.ines, "get", f"/api/v1/policies/change/versions/{key}/")[1]["serial"] == 1
    assert send(bank.ines, "get", "/api/v1/policies/other/versions/")[0] == 404
    assert send(bank.ines, "get", "/api/v1/policies/change/versions/sha256:0/")[0] == 404


def test_a_simulation_answers_and_stores_nothing(bank, send):
    status, body, _ = send(bank.ines, "post", "/api/v1/policies/simulate/", {"input": facts(bank.noor)})
    assert status == 200
    assert [stage["stage"] for stage in body["require"]] == ["Security", "Service owner"]
    assert not Decision.objects.exists()


def test_a_simulation_outside_the_contract_is_refused_with_pointers(bank, send):
    status, body, _ = send(bank.ines, "post", "/api/v1/policies/simulate/", {"input": {"api": "v1"}})
    assert (status, body["code"]) == (409, "policy_refused")
    assert body["errors"]
    assert send(bank.ines, "post", "/api/v1/policies/simulate/", {"input": {}, "store": True})[0] == 422


def freeze(**changed):
    now = timezone.now()
    return {
        "name": "Year end", "reason": "Books close", "environments": ["production"],
        "starts_at": now.isoformat(), "ends_at": (now + timedelta(days=1)).isoformat(), **changed,
    }  # fmt: skip


@pytest.mark.usefixtures("production")
def test_d11_an_admin_makes_a_freeze_once_per_key_and_lifts_none_alone(bank, send):
    key, body = {"Idempotency-Key": "one"}, freeze()
    status, made, _ = send(bank.admin, "post", "/api/v1/freezes/", body, **key)
    assert status == 201
    assert send(bank.admin, "post", "/api/v1/freezes/", body, **key)[1] == made
    assert Freeze.objects.count() == 1
    path = f"/api/v1/freezes/{made['id']}/"
    _, _, shown = send(bank.ines, "get", path)
    lift = {"lifted": True, "reason": "Done early"}
    assert send(bank.admin, "patch", path, lift)[0] == 428
    assert send(bank.ines, "patch", path, lift, **{"If-Match": shown["ETag"]})[0] == 403
    status, refused, _ = send(bank.admin, "patch", path, lift, **{"If-Match": shown["ETag"]})
    assert (status, refused["code"]) == (409, "weakens_protection")
    assert "freeze-lift" in refused["detail"]
    assert Freeze.objects.get().lifted_at is None


@pytest.mark.usefixtures("production")
@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"environments": ["prodution"]}, 422),
        ({"environments": []}, 422),
        ({"ends_at": "2020-01-01T00:00:00Z"}, 422),
        ({"lifted_at": None}, 422),
        ({"name": ""}, 422),
    ],
)
def test_a_freeze_that_would_freeze_nothing_is_refused(bank, send, changed, status):
    assert (
        send(bank.admin, "post", "/api/v1/freezes/", freeze(**changed), **{"Idempotency-Key": "k"})[0]
        == status
    )
    assert not Freeze.objects.exists()


@pytest.mark.usefixtures("production")
def test_nobody_but_an_admin_makes_a_freeze(bank, send):
    status, body, _ = send(bank.ines, "post", "/api/v1/freezes/", freeze(), **{"Idempotency-Key": "k"})
    assert (status, body["code"]) == (403, "not_allowed")


WEEKLY = {
    "zone": "Europe/Zurich", "local_start": "2026-12-04T16:00", "local_end": "2026-12-07T06:00",
    "recurrence": "FREQ=WEEKLY;UNTIL=20270131", "exceptions": ["2026-12-25"],
}  # fmt: skip


def weekly(**changed):
    known = {
        "name": "Weekend",
        "reason": "Nobody is here.",
        "environments": ["production"],
        **WEEKLY,
        **changed,
    }
    return {name: value for name, value in known.items() if value is not None}


@pytest.mark.usefixtures("production")
def test_a_freeze_that_comes_back_is_told_as_it_was_given_and_in_words(bank, send):
    made = send(bank.admin, "post", "/api/v1/freezes/", weekly(), **{"Idempotency-Key": "k"})[1]
    assert {name: made[name] for name in ("zone", "recurrence", "exceptions")} == {
        name: WEEKLY[name] for name in ("zone", "recurrence", "exceptions")
    }
    assert (made["local_start"], made["starts_at"]) == ("2026-12-04T16:00:00", "2026-12-04T15:00:00Z")
    assert made["words"].startswith("every Friday 16:00 to Monday 06:00, Europe/Zurich")


@pytest.mark.usefixtures("production")
@pytest.mark.parametrize(
    ("changed", "pointer"),
    [
        ({"zone": None}, ""),
        ({"starts_at": "2026-12-04T16:00:00Z"}, ""),
        ({"zone": "Mars/Base"}, "/zone"),
        ({"local_start": "noon"}, "/starts_at"),
        ({"recurrence": "FREQ=DAILY"}, "/recurrence"),
        ({"services": ["nothing"]}, "/services/0"),
        ({"exceptions": ["2026-12-26"]}, "/exceptions"),
    ],
)
def test_a_recurrence_that_nobody_could_mean_is_refused(bank, send, changed, pointer):
    status, body, _ = send(
        bank.admin, "post", "/api/v1/freezes/", weekly(**changed), **{"Idempotency-Key": "k"}
    )
    assert status == 422
    assert pointer in {one["pointer"] for one in body["errors"]} or not pointer
    assert not Freeze.objects.exists()


@pytest.mark.usefixtures("production")
def test_d11_an_admin_makes_the_first_window_of_a_scope_and_no_second(bank, send):
    status, made, _ = send(bank.admin, "post", "/api/v1/windows/", weekly(), **{"Idempotency-Key": "a"})
    assert status == 201
    status, body, _ = send(bank.admin, "post", "/api/v1/windows/", weekly(), **{"Idempotency-Key": "b"})
    assert (status, body["code"]) == (409, "weakens_protection")
    assert send(bank.ines, "post", "/api/v1/windows/", weekly(), **{"Idempotency-Key": "c"})[0] == 403
    assert send(bank.ines, "get", f"/api/v1/windows/{made['id']}/")[1]["words"] == made["words"]
    assert Window.objects.count() == 1


@pytest.mark.usefixtures("production")
@pytest.mark.parametrize("kind", ["freezes", "windows"])
def test_whoever_may_not_see_a_place_sees_no_freeze_and_no_window_of_it(bank, send, kind):
    made = send(bank.admin, "post", f"/api/v1/{kind}/", weekly(), **{"Idempotency-Key": "k"})[1]
    stranger = person("Stranger")
    assert send(stranger, "get", f"/api/v1/{kind}/{made['id']}/")[0] == 404
    assert send(stranger, "get", f"/api/v1/{kind}/")[1]["results"] == []
    assert len(send(bank.ines, "get", f"/api/v1/{kind}/")[1]["results"]) == 1


@pytest.mark.parametrize("path", ["/policies/", "/policies/change/", "/policies/change/1/"])
def test_everybody_who_is_signed_in_reads_the_rules(bank, client, path, django_assert_max_num_queries):
    assert client.get(path).status_code == 302
    client.force_login(person("Guest"), backend="django.contrib.auth.backends.ModelBackend")
    client.get(path)  # content types are read once a process
    with django_assert_max_num_queries(17):
        page = client.get(path).content.decode()
    assert "Security agrees to critical services in production" in page
    assert 'href="/policies/change/1/#production.rego-L8"' in page


def test_the_source_is_shown_line_by_line_where_rules_point(bank, client):
    client.force_login(bank.ines, backend="django.contrib.auth.backends.ModelBackend")
    page = client.get("/policies/change/").content.decode()
    assert 'id="production.rego-L8"' in page
    assert client.get("/policies/change/7/").status_code == 404


def test_a_bank_without_a_policy_is_told_what_to_do(client):
    client.force_login(person("Guest"), backend="django.contrib.auth.backends.ModelBackend")
    assert "No policy is active" in client.get("/policies/").content.decode()
    assert client.get("/policies/change/").status_code == 404
