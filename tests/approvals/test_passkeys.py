"""Passkeys: enrolled by their owner, trusted by somebody else, and what an assertion proves."""

import json
from dataclasses import replace
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from accounts.acting import Acting
from approvals import enrolment, keys, passkeys
from approvals.enrolment import PasskeyNotMade, Place
from approvals.models import Passkey
from audit.models import Entry
from audit.refusals import MoveNotAllowed, NotAllowed, NotFound
from tests.approvals.authenticator import (
    HOST,
    ORIGIN,
    PRESENT,
    TEST,
    Authenticator,
    asked,
    b64,
    trusted,
)
from tests.approvals.cast import OTHER, person, sql

S = Passkey.State
HERE = Place(host=HOST, origin=ORIGIN)
SAID = passkeys.Statement(
    change="c",
    revision=1,
    digest=OTHER,
    chain_digest=OTHER,
    stage="s",
    decision="approve",
    condition_digest=OTHER,
)


@pytest.fixture
def mia(db):
    return person("Mia")


def enrol(user, device, *, challenge=b"a challenge", origin=ORIGIN, since=None, auth="session"):
    return enrolment.enrol(
        credential=device.create(b64(challenge), origin=origin),
        challenge=b"a challenge",
        name=" Laptop ",
        place=HERE,
        signed_in_at=since or timezone.now(),
        by=Acting(user, auth),
    )


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA"])
def test_a_person_enrols_a_key_that_counts_for_nothing_until_somebody_vouches(mia, algorithm):
    device = Authenticator(algorithm=algorithm)
    made = enrol(mia, device)
    assert (made.state, made.name, made.credential_id) == (S.ASKED, "Laptop", b64(device.id))
    assert not passkeys.is_trusted(made)
    assert passkeys.holders([mia.person_id]) == set()
    enrolment.trust_at_terminal(made, by=TEST)
    assert passkeys.is_trusted(made)
    assert passkeys.holders([mia.person_id]) == {mia.person_id}
    assert list(
        Entry.objects.filter(kind__startswith="passkey.").order_by("id").values_list("kind", flat=True)
    ) == [
        "passkey.asked",
        "passkey.trusted",
    ]


@pytest.mark.parametrize(
    "changed",
    [
        {"challenge": b"another challenge"},
        {"origin": "http://elsewhere"},
        {"device": Authenticator(flags=PRESENT)},
        {"device": Authenticator(host="elsewhere")},
    ],
    ids=["challenge", "origin", "no PIN, finger or face", "host"],
)
def test_what_is_no_new_key_for_this_page_is_refused(mia, changed):
    with pytest.raises(PasskeyNotMade, match="nothing was stored"):
        enrol(mia, **{"device": Authenticator(), **changed})
    assert not Passkey.objects.exists()


def test_b15_an_open_browser_that_somebody_walked_up_to_enrols_nothing(mia):
    with pytest.raises(enrolment.LoginTooOld):
        enrol(mia, Authenticator(), since=timezone.now() - timedelta(minutes=16))


def test_a_token_enrols_nothing(mia):
    with pytest.raises(NotAllowed, match="a person in a browser"):
        enrol(mia, Authenticator(), auth="token")


def test_one_key_is_enrolled_once(mia):
    device = Authenticator()
    enrol(mia, device)
    with pytest.raises(PasskeyNotMade, match="enrolled already"):
        enrol(person("Noa"), device)


def test_a_person_has_a_few_keys_and_not_a_hundred(mia):
    for _ in range(enrolment.MAX_KEYS):
        enrol(mia, Authenticator())
    with pytest.raises(PasskeyNotMade, match="Revoke one"):
        enrol(mia, Authenticator())


def test_a_revoked_key_is_not_trusted_and_never_again(mia):
    mine = trusted(mia, Authenticator())
    enrolment.revoke(mine.pk, by=Acting(mia, "session"))
    mine.refresh_from_db()
    assert not passkeys.is_trusted(mine)
    with pytest.raises(MoveNotAllowed):
        enrolment.trust_at_terminal(mine, by=TEST)
    with pytest.raises(MoveNotAllowed):
        enrolment.revoke(mine.pk, by=Acting(mia, "session"))


def test_nobody_revokes_or_sees_the_key_of_another(mia):
    mine = trusted(mia, Authenticator())
    with pytest.raises(NotFound):
        enrolment.revoke(mine.pk, by=Acting(person("Noa"), "session"))


def test_a_person_cannot_trust_a_key_directly(mia):
    with pytest.raises(enrolment.NobodyVouched):
        enrolment.trust_at_terminal(asked(mia, Authenticator()), by=Acting(mia, "session").actor)


def test_the_web_server_cannot_trust_a_key(mia, settings):
    settings.SIGNS_AS = "web"
    with pytest.raises(keys.KeyNotHeld):
        enrolment.trust_at_terminal(asked(mia, Authenticator()), by=TEST)


@pytest.mark.parametrize("column", ["public_key", "credential_id", "rp_id", "person_id", "user_id"])
def test_trust_is_lost_with_any_column_that_sql_turns(mia, column):
    mine, other = trusted(mia, Authenticator()), person("Noa")
    to = {"person_id": other.person_id, "user_id": other.pk}.get(column, "other")
    sql(f"UPDATE approvals_passkey SET {column} = %s", to)  # noqa: S608 - one of the names above
    mine.refresh_from_db()
    assert not passkeys.is_trusted(mine)


def test_an_assertion_proves_exactly_what_was_stated(mia):
    device = Authenticator()
    mine, signed = trusted(mia, device), device.get(SAID.challenge)
    assert passkeys.proves(SAID, signed, mine)
    for changed in (
        {"revision": 2},
        {"decision": "reject"},
        {"stage": "t"},
        {"chain_digest": "x"},
        {"change": "d"},
    ):
        assert not passkeys.proves(replace(SAID, **changed), signed, mine)


def test_b14_an_assertion_by_another_key_or_for_another_page_proves_nothing(mia):
    device = Authenticator()
    mine = trusted(mia, device)
    other = Authenticator()
    assert not passkeys.proves(SAID, other.get(SAID.challenge), mine)
    other.id = device.id
    assert not passkeys.proves(SAID, other.get(SAID.challenge), mine)
    assert not passkeys.proves(SAID, device.get(SAID.challenge, origin="http://testserver.evil"), mine)
    assert passkeys.proves(SAID, device.get(SAID.challenge, origin="https://under.testserver:8443"), mine)
    device.flags = PRESENT
    assert not passkeys.proves(SAID, device.get(SAID.challenge), mine), "no PIN, finger or face"
    assert not passkeys.proves(SAID, replace(device.get(SAID.challenge), signature="@"), mine)


def test_a_terminal_is_where_trust_begins(mia):
    said = StringIO()
    with pytest.raises(CommandError, match="asks for 0"):
        call_command("passkey", "trust", mia.username)
    one, two = asked(mia, Authenticator()), asked(mia, Authenticator(), name="Phone")
    with pytest.raises(CommandError, match="asks for 2"):
        call_command("passkey", "trust", mia.username)
    call_command("passkey", "trust", mia.username, key=str(two.pk), stdout=said)
    assert "can sign with Phone" in said.getvalue()
    call_command("passkey", "list", mia.username, stdout=said)
    assert f"{one.pk} asked" in said.getvalue()
    with pytest.raises(CommandError, match="no account"):
        call_command("passkey", "trust", "nobody")


@pytest.fixture
def visitor(mia):
    client = Client()
    client.force_login(mia, backend="django.contrib.auth.backends.ModelBackend")
    session = client.session
    session["since"] = timezone.now().isoformat()
    session.save()
    return client


def test_the_page_enrols_shows_and_revokes(visitor, mia):
    assert "No passkey yet" in visitor.get("/me/passkeys/").content.decode()
    told = visitor.post("/api/v1/me/passkeys/options/").json()
    assert (told["rp"]["id"], told["user"]["name"]) == (HOST, mia.username)
    assert told["authenticatorSelection"]["userVerification"] == "required"
    credential = json.dumps(Authenticator().create(told["challenge"]))
    answer = visitor.post("/me/passkeys/", {"name": "Laptop", "credential": credential})
    assert answer.status_code == 302
    page = visitor.get("/me/passkeys/").content.decode()
    assert "Waits for somebody to vouch" in page
    again = visitor.post("/me/passkeys/", {"name": "Laptop", "credential": credential})
    assert again.status_code == 422, "a challenge is good for one answer"
    visitor.post(f"/me/passkeys/{Passkey.objects.get().pk}/revoke/")
    assert Passkey.objects.get().state == S.REVOKED
    assert visitor.post("/me/passkeys/", {"name": "x", "credential": "[]"}).status_code == 422


def test_the_api_enrols_lists_and_revokes_ones_own(visitor, mia):
    told = visitor.post("/api/v1/me/passkeys/options/").json()
    body = {"name": "Laptop", "credential": Authenticator().create(told["challenge"])}
    send = {"content_type": "application/json", "headers": {"Idempotency-Key": "one"}}
    made = visitor.post("/api/v1/me/passkeys/", body, **send)
    assert made.status_code == 201, made.content
    assert visitor.post("/api/v1/me/passkeys/", body, **send).json() == made.json()
    rows = visitor.get("/api/v1/me/passkeys/").json()["results"]
    assert [(one["name"], one["state"], one["host"]) for one in rows] == [("Laptop", "asked", HOST)]
    trusted(person("Noa"), Authenticator())
    assert len(visitor.get("/api/v1/me/passkeys/").json()["results"]) == 1
    gone = visitor.post(f"/api/v1/me/passkeys/{rows[0]['id']}/revoke/")
    assert gone.json()["state"] == "revoked"
