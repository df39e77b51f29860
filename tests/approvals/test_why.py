"""Why policy answered as it did is told in the rule's own words, and what would have been otherwise is computed."""

import pytest

from accounts import permissions
from approvals.models import Decision
from approvals.pages import why as shown
from approvals.policy import bundles, decide, pool, preview, why
from approvals.policy.engine import PolicyUnavailable
from approvals.policy.why import _otherwise, explain
from tests.approvals.cast import TEST, facts, team

PLACES = {
    "input.environment": [
        {"slug": "production", "tier": 1, "protected": True},
        {"slug": "staging", "tier": 2, "protected": True},
        {"slug": "test", "tier": 3, "protected": False},
    ]
}


@pytest.fixture(autouse=True)
def forgotten():
    """What was computed for another test."""
    _otherwise.cache_clear()


def told(bank, given, **more):
    return {one.id: one for one in explain(bank.bundle, given, preview(given), **more)}


@pytest.mark.django_db(transaction=True)
def test_a_rule_is_told_in_its_own_words_with_its_place_and_what_it_read(bank):
    one = told(bank, facts(bank.noor))["security-signs-tier-1"]
    assert one.title == "Security agrees to critical services in production"
    assert one.place.startswith("production.rego:")
    assert dict(one.read) == {"input.environment.slug": "production", "input.service.tier": 1}


@pytest.mark.django_db(transaction=True)
def test_what_would_have_been_otherwise_is_found_by_asking_again(bank):
    one = told(bank, facts(bank.noor), records=PLACES)["security-signs-tier-1"]
    assert one.otherwise == (
        "Not asked where environment.slug is staging or test, or where service.tier is 2 to 9."
    )


@pytest.mark.django_db(transaction=True)
def test_where_no_other_value_is_known_nothing_is_said(bank):
    assert told(bank, facts(bank.noor))["owner-signs"].otherwise == ""


@pytest.mark.django_db(transaction=True)
def test_a_policy_process_that_fails_costs_the_sentence_and_no_page(bank, monkeypatch):
    given = facts(bank.noor)
    output = preview(given)

    def fails(*_):
        raise PolicyUnavailable("it took too long")

    monkeypatch.setattr(type(pool.engine()), "evaluate", fails)
    assert {one.otherwise for one in explain(bank.bundle, given, output, records=PLACES)} == {""}


@pytest.mark.django_db(transaction=True)
def test_an_explanation_that_takes_too_long_is_left_out_and_asked_again_next_time(bank, monkeypatch):
    given = facts(bank.noor)
    output = preview(given)
    with monkeypatch.context() as patched:
        patched.setattr(why, "SECONDS", -1)
        assert {one.otherwise for one in explain(bank.bundle, given, output, records=PLACES)} == {""}
    assert any(one.otherwise for one in explain(bank.bundle, given, output, records=PLACES))


@pytest.mark.django_db(transaction=True)
def test_the_rows_name_what_follows(bank):
    given = facts(bank.noor)
    rows = shown.rows(explain(bank.bundle, given, preview(given)), bundles.active())
    assert {row["result"] for row in rows} == {"Security: 1 needed", "Service owner: 1 needed"}
    assert all(row["url"].startswith("/policies/change/1/#") for row in rows)


@pytest.mark.django_db(transaction=True)
def test_a_recorded_decision_is_for_those_who_may_read_the_log(bank, client):
    decide(facts(bank.noor))
    page = f"/policies/decisions/{Decision.objects.get().pk}/"
    client.force_login(bank.noor, backend="django.contrib.auth.backends.ModelBackend")
    assert client.get(page).status_code == 403
    permissions.open_log(team("payments"), by=TEST)
    text = client.get(page).content.decode()
    assert "Security agrees to critical services in production" in text
    assert "input.service.tier" in text
    assert Decision.objects.get().input_digest in text
