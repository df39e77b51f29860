"""What pipelines and observers tell: evidence belongs to what is asked for now, and what runs is told by digest."""

import pytest
from django.test import Client

from accounts import teams
from audit.canonical import parse
from audit.models import Entry
from orchestration.definitions import artifacts
from tests.accounts.cast import TEST, bearer, issue
from tests.browser import Browser
from tests.factories import Bank

pytestmark = pytest.mark.django_db(transaction=True)
IMAGE, COMMIT = "sha256:" + "e" * 64, "c" * 40
OBSERVED = "/api/v1/deployments/observed/"
REPORT = {"kind": "test_result", "digest": IMAGE, "address": "https://ci.example/1/report"}


@pytest.fixture
def bank():
    return Bank()


def told(kind):
    return parse(bytes(Entry.objects.get(kind=kind).body))["data"]


def test_evidence_names_the_revision_that_it_belongs_to(bank):
    change = bank.change()
    sent = Browser(bank, "mara").post(f"changes/{change.key}/evidence/", REPORT, key="one")
    assert sent.status_code == 201
    assert told("evidence.attached") == {
        "change": change.key, "revision": 1, "digest": change.revision.digest, "evidence_kind": "test_result",
        "evidence_digest": IMAGE, "address": "https://ci.example/1/report",
    }  # fmt: skip


@pytest.mark.parametrize(
    "wrong", [{"kind": "poem"}, {"digest": "sha256:1"}, {"address": "javascript:alert(1)"}, {"more": 1}]
)
def test_evidence_that_cannot_be_found_again_is_none(bank, wrong):
    change = bank.change()
    sent = Browser(bank, "mara").post(f"changes/{change.key}/evidence/", {**REPORT, **wrong}, key="one")
    assert sent.status_code == 422
    assert not Entry.objects.filter(kind="evidence.attached").exists()


def test_whoever_does_not_see_a_change_attaches_nothing_to_it(bank):
    change = bank.change()
    stranger = teams.create_person(username="eve", name="Eve", by=TEST)
    client = Client()
    client.force_login(stranger)
    sent = client.post(f"/api/v1/changes/{change.key}/evidence/", REPORT, content_type="application/json")
    assert sent.status_code == 404
    assert not Entry.objects.filter(kind="evidence.attached").exists()


def test_the_api_lists_what_there_is_and_what_is_missing(bank):
    change, mara = bank.change(), Browser(bank, "mara")
    mara.post(f"changes/{change.key}/evidence/", REPORT, key="one")
    said = mara.get(f"changes/{change.key}/evidence/").json()
    assert said["missing"] == ["impact", "security_check", "rollback_plan"]
    [one] = said["evidence"]
    assert (one["kind"], one["actor"], one["current"]) == ("test_result", str(bank.user("mara").pk), True)
    stranger = Client()
    stranger.force_login(teams.create_person(username="eve", name="Eve", by=TEST))
    assert stranger.get(f"/api/v1/changes/{change.key}/evidence/").status_code == 404


def observe(bank, who="mara", scope="deployments:write", **said):
    body = {
        "service": "web-bank",
        "environment": "production",
        "artifacts": [COMMIT, IMAGE, IMAGE],
        **said,
    }
    held = bearer(issue(bank.user(who), scope))
    held["headers"]["Idempotency-Key"] = "one"
    return Client().post(OBSERVED, body, content_type="application/json", **held)


def test_an_observer_tells_what_runs_with_a_token_for_that_alone(bank):
    assert observe(bank, scope="changes:write").status_code == 403
    assert observe(bank).status_code == 201
    assert told("deployment.observed") == {
        "service": "web-bank", "environment": "production", "artifacts": [COMMIT, IMAGE],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({"artifacts": []}, 422),
        ({"artifacts": ["latest"]}, 422),
        ({"artifacts": [IMAGE + "0"]}, 422),
        ({"artifacts": [IMAGE] * 101}, 422),
        ({"service": "moon"}, 404),
        ({"service": "vault"}, 404),
        ({"environment": "moon"}, 404),
    ],
)
def test_what_cannot_be_compared_or_seen_is_not_recorded(bank, said, status):
    assert observe(bank, **said).status_code == status
    assert not Entry.objects.filter(kind="deployment.observed").exists()


def test_nobody_tells_what_runs_where_they_see_nothing(bank):
    stranger = teams.create_person(username="eve", name="Eve", by=TEST)
    bank.people["eve"] = type(bank.people["mara"])(stranger, "session")
    assert observe(bank, "eve").status_code == 404


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (["41.7", 3, None, True], []),
        ([f"registry.example/pay@{IMAGE}"], [IMAGE]),
        ([{"deep": [COMMIT, {"er": IMAGE}]}, COMMIT], [COMMIT, IMAGE]),
        ([IMAGE + "0", "0" + COMMIT, COMMIT.upper(), COMMIT[:-1]], []),
    ],
)
def test_artifacts_are_what_is_named_by_its_content(values, found):
    assert artifacts.found(values) == found
