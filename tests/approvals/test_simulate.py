"""What a candidate would say is shown beside what is said now, and nothing is stored or started."""

import json

import pytest

from accounts import teams
from approvals.models import Bundle, Chain, Decision
from approvals.policy import bundles
from audit.models import Entry
from orchestration.models import Run
from tests.approvals.gitted import Kept
from tests.factories import TEST, Bank

pytestmark = pytest.mark.django_db(transaction=True)
PAGE = "/policies/simulate/"


@pytest.fixture
def bank():
    return Bank()


@pytest.fixture
def asks(bank, client):
    """A function that asks as Mara."""
    client.force_login(bank.user("mara"), backend="django.contrib.auth.backends.ModelBackend")

    def ask(**given):
        return client.post(PAGE, {"candidate": bundles.active().digest, **given})

    return ask


def lax():
    return (
        bundles.active()
        .sources["production.rego"]
        .replace("input.service.tier == 1", "input.service.tier == 9")
    )


def test_the_active_policy_says_the_same(bank, asks):
    key = bank.change().key
    assert "The same people are asked." in asks(change=key).content.decode()


def test_a_file_that_was_written_otherwise_is_judged_beside_the_active_one(bank, asks):
    page = asks(change=bank.change().key, file="production.rego", text=lax()).content.decode()
    assert "Fewer would be asked, or in another order." in page
    assert "so it could not become active" in page, "the tests of the pack say so"


def test_a_candidate_that_does_not_compile_is_refused_by_file_line_and_message(bank, asks):
    page = asks(change=bank.change().key, file="a.rego", text="package a\nx := [").content.decode()
    assert "a.rego:2: " in page


def test_d15_a_simulation_stores_nothing_and_starts_nothing(bank, asks):
    key = bank.change().key

    def counted():
        return [model.objects.count() for model in (Bundle, Decision, Chain, Run, Entry)]

    before = counted()
    assert asks(change=key, file="production.rego", text=lax()).status_code == 200
    assert counted() == before


def test_the_newest_change_that_one_may_see_is_there_at_once_and_the_address_can_be_shared(
    bank, asks, client
):
    old, new = bank.change().key, bank.change().key
    page = client.get(PAGE).content.decode()
    assert f'value="{new}"' in page
    assert "The same people are asked." in page
    assert f'value="{old}"' in client.get(f"{PAGE}?change={old}").content.decode()
    client.force_login(bank.user("ravi"), backend="django.contrib.auth.backends.ModelBackend")
    assert f'value="{new}"' not in client.get(PAGE).content.decode()
    assert client.get(f"{PAGE}?change={new}").status_code == 404


def test_what_would_have_been_otherwise_is_told_as_in_the_form(bank, asks, client):
    """Also about where else it could land, which only the records know."""
    assert "environment.slug is" in asks(change=bank.change().key).content.decode()
    auditor = teams.create_person(username="adam", name="Adam", by=TEST, superuser=True)
    client.force_login(auditor, backend="django.contrib.auth.backends.ModelBackend")
    decision = client.get(f"/policies/decisions/{Decision.objects.get().pk}/").content.decode()
    assert "environment.slug is" in decision


def test_a_branch_of_the_repository_is_judged_beside_the_active_one(bank, asks, client, tmp_path, settings):
    key = bank.change().key
    assert 'name="branch"' not in client.get(PAGE).content.decode()
    kept = Kept(tmp_path / "policy.git")
    commit = kept.commit({**bundles.active().sources, "production.rego": lax()}, branch="lax")
    settings.POLICY_REPOSITORY = str(kept.path)
    page = asks(change=key, branch="lax").content.decode()
    assert "Fewer would be asked, or in another order." in page
    assert f"Branch lax at {commit[:10]}" in page
    refused = asks(change=key, branch="nowhere")
    assert refused.status_code == 503
    assert "has no branch nowhere" in refused.content.decode()


def test_a_past_change_is_for_those_who_may_see_it(bank, asks, client):
    key = bank.change().key
    client.force_login(bank.user("ravi"), backend="django.contrib.auth.backends.ModelBackend")
    answered = client.post(PAGE, {"candidate": "", "change": key})
    assert answered.status_code == 404
    assert "Security" not in answered.content.decode()


def test_an_input_of_ones_own_is_judged(bank, asks):
    bank.change()
    facts = Decision.objects.get().input
    facts["service"]["tier"] = 3
    page = asks(input=json.dumps(facts)).content.decode()
    assert "Service owner: 1 needed" in page
    assert "Security: 1 needed" not in page


@pytest.mark.parametrize(
    "given",
    [
        {"input": "no json"},
        {"input": "[]"},
        {"input": "{}"},
        {"change": "CHG-999"},
        {"change": "nonsense"},
        {"candidate": "sha256:0"},
        {"file": "a.rego", "text": "package countersign.change\ndeny contains x"},
    ],
)
def test_what_cannot_be_judged_is_refused_in_words(bank, asks, given):
    change = {} if {"input", "change"} & set(given) else {"change": bank.change().key}
    answered = asks(**change, **given)
    assert answered.status_code in {404, 409, 422}
    assert "was simulated" in answered.content.decode() or answered.status_code != 404
