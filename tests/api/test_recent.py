"""A decision about a protected environment needs a session that proved lately whose it is."""

from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client

from accounts import teams
from approvals.models import SignOff
from audit.canonical import parse
from audit.models import Entry
from orchestration.models import Change
from tests.accounts.cast import kinds
from tests.orchestration.bank import TEST, Bank

pytestmark = pytest.mark.django_db(transaction=True)
PASSWORD = "correct-horse-battery"


@pytest.fixture
def bank():
    return Bank()


def signed_in(user, *, minutes=0):
    """A session whose sign-in is so long ago."""
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    session = client.session
    session["since"] = (datetime.now(UTC) - timedelta(minutes=minutes)).isoformat()
    session.save()
    return client


def decide(client, change, name="Service owner"):
    change = Change.objects.get(pk=change.pk)
    chain = change.revision.chain
    body = {
        "stage": str(chain.stages.get(name=name).pk), "decision": "approve", "digest": change.revision.digest,
        "chain_digest": chain.digest, "comment": "Read it.",
    }  # fmt: skip
    headers = {"Idempotency-Key": str(datetime.now(UTC))}
    address = f"/api/v1/changes/{change.key}/sign-offs/"
    return client.post(address, body, content_type="application/json", headers=headers)


def given(bank, name):
    """The account, with a password."""
    user = bank.people[name].user
    user.set_password(PASSWORD)
    user.save(update_fields=["password"])
    return user


def test_b16_an_old_sign_in_decides_nothing_until_the_password_is_given_again(bank):
    change, jonas = bank.change(), given(bank, "jonas")
    client = signed_in(jonas, minutes=61)
    refused = decide(client, change)
    assert (refused.status_code, refused.json()["code"]) == (403, "step_up_required")
    assert parse(bytes(Entry.objects.latest("id").body))["data"]["code"] == "step_up_required"
    assert "Confirm that it is you" in client.get(f"/changes/{change.key}/").content.decode()
    before = client.session.session_key
    assert client.post("/me/confirm/", {"password": "wrong", "next": "/"}).status_code == 403
    then = client.post("/me/confirm/", {"password": PASSWORD, "next": f"/changes/{change.key}/"})
    assert then.headers["Location"] == f"/changes/{change.key}/"
    assert kinds()[-1] == "session.confirmed"
    assert client.session.session_key != before
    assert decide(client, change).status_code == 201


def test_b16_the_page_keeps_what_was_typed_and_stores_nothing(bank):
    change, jonas = bank.change(), given(bank, "jonas")
    typed = {"decision": "reject", "comment": "Not on a Friday"}
    answer = signed_in(jonas, minutes=61).post(f"/changes/{change.key}/decide/", typed)
    assert answer.status_code == 403
    assert "Not on a Friday" in answer.content.decode()
    assert not SignOff.objects.exists()


@pytest.mark.parametrize("since", [None, "future"])
def test_b16_a_session_that_does_not_say_when_it_began_or_says_later_proves_nothing(bank, since):
    change, client = bank.change(), signed_in(given(bank, "jonas"), minutes=-5)
    if since is None:
        session = client.session
        del session["since"]
        session.save()
    assert decide(client, change).json()["code"] == "step_up_required"


def test_b16_a_session_ends_with_the_account_and_with_the_password(bank):
    change, jonas = bank.change(), given(bank, "jonas")
    before, other = signed_in(jonas), signed_in(given(bank, "lena"))
    given_anew = bank.people["lena"].user
    given_anew.set_password("another-horse-battery")
    given_anew.save(update_fields=["password"])
    assert decide(other, change).status_code in {401, 403}
    teams.deactivate(jonas, by=TEST)
    assert decide(before, change).status_code in {401, 403}
    assert not SignOff.objects.exists()


def test_b17_a_key_from_before_the_confirmation_opens_nothing(bank):
    client = signed_in(given(bank, "jonas"), minutes=61)
    stolen = Client()
    stolen.cookies["session"] = client.cookies["session"].value
    client.post("/me/confirm/", {"password": PASSWORD})
    assert stolen.get("/api/v1/me/").status_code in {401, 403}
    assert client.get("/api/v1/me/").status_code == 200


def test_b15_nobody_becomes_somebody_else_outside_a_demo(bank):
    client = signed_in(given(bank, "mara"))
    answer = client.post("/demo/persona/", {"persona": str(bank.people["jonas"].user.pk)})
    assert answer.status_code == 404
    assert client.get("/api/v1/me/").json()["username"] == "mara"
    assert kinds()[-1] == "attempt.refused"


def test_b13_nobody_decides_in_a_name_that_the_request_claims(bank):
    change, client = bank.change(), signed_in(given(bank, "jonas"))
    answer = client.post(
        f"/api/v1/changes/{change.key}/sign-offs/", {"approver": "lena", "on_behalf_of": "lena"},
        content_type="application/json", headers={"Idempotency-Key": "b13"},
    )  # fmt: skip
    assert answer.status_code == 422
    assert kinds()[-1] == "attempt.refused"


@pytest.mark.parametrize("then", ["//evil.example", "https://evil.example/", "/\\evil.example"])
def test_confirming_stays_on_this_server(bank, then):
    client = signed_in(given(bank, "jonas"))
    answer = client.post("/me/confirm/", {"password": PASSWORD, "next": then})
    assert answer.headers["Location"] == "/"
