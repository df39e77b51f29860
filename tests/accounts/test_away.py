"""While I am away: the page and the API lend one's own place, in a session, and show who stands in."""

from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client

from accounts.models import Delegation
from audit.canonical import parse
from audit.models import Entry
from tests.accounts.cast import bearer, issue, kinds, person
from tests.accounts.test_delegation import lend

pytestmark = pytest.mark.django_db(transaction=True)
TODAY = datetime.now(UTC).date()
NEXT_WEEK = str(TODAY + timedelta(days=7))


@pytest.fixture
def sam():
    return person("Sam", "security")


@pytest.fixture
def lena():
    return person("Lena", "security")


def signed_in(user):
    client = Client()
    client.force_login(user)
    return client


def post(client, **body):
    return client.post(
        "/api/v1/me/delegations/",
        body,
        content_type="application/json",
        headers={"Idempotency-Key": str(body)[:90]},
    )


def test_the_page_lets_somebody_decide_and_both_see_it_and_the_people_page_says_so(sam, lena):
    typed = {"delegate": "lena", "starts_at": str(TODAY), "ends_at": NEXT_WEEK, "teams": ["security"]}
    assert signed_in(sam).post("/me/away/", typed).status_code == 302
    lent = Delegation.objects.get()
    assert (lent.delegate, lent.ends_at.date()) == (lena, TODAY + timedelta(days=8))
    assert "You decide for" in signed_in(lena).get("/me/away/").content.decode()
    assert "Lena decides" in signed_in(sam).get("/people/").content.decode()
    assert signed_in(lena).post(f"/me/away/{lent.pk}/end/").status_code == 302
    assert "Lena decides" not in signed_in(sam).get("/people/").content.decode()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"ends_at": ""}, "Give the day."),
        ({"ends_at": "2020-01-01"}, "not in the past"),
        ({"delegate": "sam"}, "somebody else"),
        ({"delegate": "nobody"}, "Choose an active person"),
    ],
)
def test_what_does_not_fit_lends_nothing_keeps_what_was_typed_and_leaves_an_entry(sam, lena, wrong, words):
    typed = {"delegate": "lena", "starts_at": str(TODAY), "ends_at": NEXT_WEEK, "reason": "Sailing"}
    answer = signed_in(sam).post("/me/away/", {**typed, **wrong})
    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert "Sailing" in answer.content.decode()
    assert kinds()[-1] == "attempt.refused"


def test_the_api_lends_and_ends(sam, lena):
    ends = (datetime.now(UTC) + timedelta(days=3)).isoformat()
    made = post(signed_in(sam), delegate="lena", teams=["security"], ends_at=ends)
    assert made.status_code == 201
    row = made.json()
    assert (row["delegator"]["username"], row["delegate"]["username"], row["teams"]) == (
        "sam",
        "lena",
        ["security"],
    )
    assert signed_in(lena).get("/api/v1/me/delegations/").json()["results"][0]["id"] == row["id"]
    ended = signed_in(lena).post(f"/api/v1/me/delegations/{row['id']}/end/")
    assert ended.json()["ended_at"] is not None
    again = signed_in(lena).post(f"/api/v1/me/delegations/{row['id']}/end/")
    assert (again.status_code, again.json()["code"]) == (409, "delegation_over")


def test_b13_nobody_lends_in_the_name_of_somebody_else(sam, lena):
    ends = (datetime.now(UTC) + timedelta(days=3)).isoformat()
    answer = post(signed_in(sam), delegate="sam", delegator="lena", ends_at=ends)
    assert answer.status_code == 422
    assert parse(bytes(Entry.objects.latest("id").body))["data"]["code"] == "invalid"
    assert not Delegation.objects.exists()


def test_a_token_reads_delegations_and_makes_none(sam, lena):
    token = bearer(issue(sam, "changes:read", "changes:write"))
    assert Client().get("/api/v1/me/delegations/", **token).status_code == 200
    token["headers"]["Idempotency-Key"] = "1"
    refused = Client().post("/api/v1/me/delegations/", {}, content_type="application/json", **token)
    assert refused.status_code == 403


def test_a_strangers_delegation_is_not_found(sam, lena):
    lent = lend(sam, lena)
    stranger = signed_in(person("Dora"))
    assert stranger.post(f"/me/away/{lent.pk}/end/").status_code == 404
    assert stranger.post(f"/api/v1/me/delegations/{lent.pk}/end/").status_code == 404
    assert Delegation.objects.standing().exists()


def test_a_note_is_shown_as_text(sam, lena):
    lend(sam, lena, reason="<script>alert(1)</script>")
    assert "<script>alert" not in signed_in(lena).get("/me/away/").content.decode()
