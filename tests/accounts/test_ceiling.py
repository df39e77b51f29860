"""What the tokens of a machine may do at most: at minting, at each use, after an upgrade; narrowed by one alone."""

import json
from uuid import uuid4

import pytest
from django.db import DatabaseError, connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.models import F
from django.test import Client

from accounts import ceiling, teams, tokens
from accounts.acting import Acting
from accounts.models import Token, User
from audit.canonical import parse
from audit.models import Entry
from audit.refusals import Invalid, NotAllowed
from tests.accounts.cast import TEST, bearer, governed, issue, kinds, person

pytestmark = pytest.mark.django_db(transaction=True)
READING = sorted(tokens.READING)


@pytest.fixture
def mara():
    return person("Mara")


@pytest.fixture
def ci(mara):
    return machine(mara)


def machine(answers: User, name: str = "ci", **more) -> User:
    return teams.create_service_account(username=name, name=name, person=answers.person, by=TEST, **more)


def get(issued: tokens.Issued, address: str = "/api/v1/teams/"):
    return Client().get(address, **bearer(issued))


def newest():
    return parse(bytes(Entry.objects.latest("id").body))


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_a_new_machine_reads_and_no_more(mara, ci):
    assert ci.ceiling == READING
    assert newest()["data"]["scopes"] == READING
    assert get(issue(ci, *READING, by=Acting(mara, "session"))).status_code == 200
    for scope in sorted(set(tokens.SCOPES) - set(READING) - {"admin"}):
        with pytest.raises(tokens.BeyondCeiling, match=f"{scope}; no token was made. .*account-scopes"):
            issue(ci, "changes:read", scope, by=Acting(mara, "session"))
    assert Token.objects.count() == 1


def test_an_admin_who_answers_for_a_machine_is_bound_too():
    sam = person("Sam", superuser=True)
    with pytest.raises(tokens.BeyondCeiling):
        issue(machine(sam), "admin", by=Acting(sam, "session"))


def test_a_person_has_no_ceiling(mara):
    assert get(issue(mara, "changes:read", "runs:write", "secrets:write")).status_code == 200


def test_a_refused_token_is_recorded_at_both_doors(mara, ci):
    page = signed_in(mara).post(
        "/me/tokens/", {"name": "ci", "days": "30", "scopes": ["runs:write"], "account": "ci"}
    )
    assert (page.status_code, newest()["data"]["code"]) == (403, "beyond_ceiling")
    assert "account-scopes" in page.content.decode()
    body = {"name": "ci", "scopes": ["runs:write"], "account": "ci"}
    until = issue(mara, "changes:read").token.expires_at.isoformat()
    before = Entry.objects.count()
    answer = signed_in(mara).post(
        "/api/v1/me/tokens/",
        json.dumps({**body, "expires_at": until}),
        content_type="application/json",
        headers={"Idempotency-Key": str(uuid4())},
    )
    assert (answer.status_code, answer.json()["code"]) == (403, "beyond_ceiling")
    assert (newest()["actor"]["id"], Entry.objects.count()) == (str(mara.pk), before + 1)
    assert not Token.objects.filter(user=ci).exists()


def test_what_was_taken_away_opens_nothing_from_the_next_request_on(mara, ci):
    issued = issue(ci, "changes:read", "reports:read", by=Acting(mara, "session"))
    assert get(issued).status_code == 200
    ceiling.narrow(ci, ["changes:read"], by=Acting(mara, "session"))
    assert newest()["type"] == "account.scopes"
    assert newest()["actor"]["id"] == str(mara.pk)
    assert newest()["data"] == {"before": READING, "scopes": ["audit:read", "reports:read"]}
    answer = get(issued)
    assert (answer.status_code, answer.json()["code"]) == (403, "beyond_ceiling")
    assert newest()["type"] == "attempt.refused"
    assert get(issued, "/metrics").status_code == 200, "what is within it goes on"
    assert get(issue(ci, "reports:read", by=Acting(mara, "session"))).json()["code"] == "scope_missing"


def test_a_forged_token_opens_nothing_beyond_the_ceiling(mara):
    sam = person("Sam", superuser=True)
    ci = machine(sam)
    issued = issue(ci, "changes:read", by=Acting(sam, "session"))
    forged = Token(user=ci, name="x", prefix="0" * 8, scopes=["admin"], expires_at=issued.token.expires_at)
    forged.sha256 = tokens.fingerprint("cs_00000000_forged")
    governed(forged)
    answer = get(tokens.Issued(forged, "cs_00000000_forged"), "/api/v1/machines/")
    assert (answer.status_code, answer.json()["code"]) == (403, "beyond_ceiling")


def test_a_token_beyond_its_ceiling_makes_none_with_it():
    sam = person("Sam", superuser=True)
    ci = machine(sam, ceiling=["admin", "runs:write"])
    wide = issue(ci, "runs:write", by=Acting(sam, "session")).token
    ceiling.narrow(ci, ["runs:write"], by=Acting(sam, "session"))
    wide = Token.objects.select_related("user").get(pk=wide.pk)
    with pytest.raises(NotAllowed, match="wider"):
        issue(machine(sam, "other", ceiling=["runs:write"]), "runs:write", by=Acting(ci, "token", token=wide))


def test_nobody_raises_a_ceiling_behind_the_ledgers_back(ci):
    with pytest.raises(DatabaseError, match="changed without a new version"), transaction.atomic():
        User.objects.filter(pk=ci.pk).update(ceiling=["admin"])
    with pytest.raises(DatabaseError, match="has_entry"), transaction.atomic():
        User.objects.filter(pk=ci.pk).update(ceiling=["admin"], version=F("version") + 1)
    ci.refresh_from_db()
    assert ci.ceiling == READING


def test_only_an_admin_or_whoever_answers_for_it_narrows(mara, ci):
    noor, sam = person("Noor"), person("Sam", superuser=True)
    with pytest.raises(NotAllowed, match="answer for"):
        ceiling.narrow(ci, ["changes:read"], by=Acting(noor, "session"))
    address = "/api/v1/machines/ci/narrow/"
    for who, status in ((noor, 404), (mara, 200), (sam, 200)):
        scope = "audit:read" if who == mara else "changes:read"
        answer = signed_in(who).post(
            address, json.dumps({"scopes": [scope]}), content_type="application/json"
        )
        assert answer.status_code == status, answer.content
    assert User.objects.get(username="ci").ceiling == ["reports:read"]
    assert [one["username"] for one in signed_in(sam).get("/api/v1/machines/").json()["results"]] == ["ci"]
    assert signed_in(noor).get("/api/v1/machines/").json()["results"] == []


def test_what_is_so_already_or_is_no_scope_or_no_machine_changes_nothing(mara, ci):
    before, by = kinds(), Acting(mara, "session")
    with pytest.raises(ceiling.CeilingUnchanged):
        ceiling.narrow(ci, ["runs:write"], by=by)
    with pytest.raises(Invalid, match="everything"):
        ceiling.narrow(ci, ["everything"], by=by)
    with pytest.raises(NotAllowed, match="no ceiling"):
        ceiling.widen(mara, ["runs:write"], by=TEST)
    assert kinds() == before


def test_the_profile_shows_ones_machines_and_takes_a_scope_from_them(mara, ci):
    machine(person("Noor"), "other")
    client = signed_in(mara)
    page = client.get("/me/").content.decode()
    assert "/me/machines/ci/narrow/" in page
    assert "/me/machines/other/narrow/" not in page
    assert client.post("/me/machines/other/narrow/", {"scopes": ["audit:read"]}).status_code == 404
    assert client.post("/me/machines/ci/narrow/", {"scopes": ["audit:read"]}).status_code == 302
    assert User.objects.get(username="ci").ceiling == ["changes:read", "reports:read"]
    assert "Tokens at most: changes:read, reports:read" in client.get("/people/").content.decode()


def test_an_upgrade_keeps_what_live_tokens_have_and_tells_it_once_each(mara):
    by, wide = Acting(mara, "session"), list(tokens.SCOPES)
    working, idle = machine(mara, "working", ceiling=wide), machine(mara, "idle", ceiling=wide)
    issued = issue(working, "runs:write", "secrets:write", by=by)
    tokens.revoke(issue(idle, "runs:write", by=by).token, by=by)
    told = Entry.objects.filter(kind="account.scopes", actor="system:upgrade").order_by("stream_version")
    try:
        MigrationExecutor(connection).migrate([("accounts", "0003_delegation")])
    finally:
        again = MigrationExecutor(connection)
        again.migrate(again.loader.graph.leaf_nodes())
    for one, expected in ((working, sorted([*READING, "runs:write", "secrets:write"])), (idle, READING)):
        one.refresh_from_db()
        assert (one.ceiling, one.version) == (expected, 2)
        entry = parse(bytes(told.get(stream=one.pk).body))
        assert entry["data"] == {"before": [], "scopes": expected}
        assert "ceiling" in entry["state"]["columns"].split()
        assert "email" not in entry["state"]["columns"].split()
    assert (User.objects.get(pk=mara.pk).version, told.count()) == (1, 2)
    assert issued.token.usable == {"runs:write", "secrets:write"}
