"""An external auditor reads until their time is over, changes nothing, and leaves an entry of what they opened."""

from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from accounts import engagements, permissions
from accounts.models import Engagement, User
from audit.clock import database_time
from audit.ledger import openings
from audit.models import Entry
from audit.refusals import Invalid
from orchestration.models import Change
from tests.accounts.cast import PASSWORD, TEST, issue, person, team
from tests.audit.log import as_insider
from tests.factories import Bank

pytestmark = pytest.mark.django_db(transaction=True)


def engaged(name="Ravi", *, days=3.0, teams=("audit",)):
    ravi = person(name, *teams)
    permissions.open_log(team("audit"), by=TEST)
    engagements.engage(ravi, database_time() + timedelta(days=days), by=TEST)
    return ravi


def signed_in(user):
    client = Client()
    assert client.login(username=user.username, password=PASSWORD)
    return client


def over(user):
    """Their end lies behind them; the row is put so as an insider would."""
    as_insider(
        "UPDATE accounts_engagement SET ends_at = now() - interval '1 second' WHERE user_id = %s", user.pk
    )


def opened():
    rows = Entry.objects.filter(kind="page.opened").order_by("id")
    return [(row.actor, openings.data(row)) for row in rows]


def test_what_an_engaged_account_opens_is_an_entry_and_of_others_nothing_is():
    ravi, petra = engaged(), person("Petra", "audit")
    client = signed_in(ravi)
    page = client.get("/audit/?q=type:permit.issued")
    assert "What you open is recorded" in page.content.decode()
    assert client.get("/audit/nothing/").status_code == 404
    assert client.get("/api/v1/audit/entries/").status_code == 200
    for _ in range(3):
        client.get("/changes/")
    signed_in(petra).get("/audit/")
    assert opened() == [
        (str(ravi.pk), {"path": "/audit/", "query": "q=type:permit.issued"}),
        (str(ravi.pk), {"path": "/api/v1/audit/entries/", "query": ""}),
        (str(ravi.pk), {"path": "/changes/", "query": ""}),
    ]


def test_an_engaged_account_changes_nothing_whatever_its_teams_may():
    bank = Bank()
    change = bank.change()
    jonas = bank.people["jonas"].user
    engagements.engage(jonas, database_time() + timedelta(days=3), by=TEST)
    client = Client()
    client.force_login(jonas, backend="django.contrib.auth.backends.ModelBackend")
    before = Change.objects.get(pk=change.pk).version
    for address in (f"/changes/{change.key}/decide/", f"/api/v1/changes/{change.key}/sign-offs/", "/api/v1/changes/",
                    "/api/v1/me/tokens/", "/break-glass/"):  # fmt: skip
        answer = client.post(address, {})
        assert answer.status_code == 403, address
        assert "reads and changes nothing" in answer.content.decode()
    assert Change.objects.get(pk=change.pk).version == before
    assert Entry.objects.filter(kind="attempt.refused", actor=str(jonas.pk)).count() == 5
    assert client.get(f"/changes/{change.key}/").status_code == 200


def test_it_asks_for_reports_all_the_same(settings, tmp_path):
    settings.KEY_DIR = tmp_path
    client = signed_in(engaged())
    assert client.post("/compliance/exports/", {"format": "csv"}).status_code == 404, "nothing is sealed yet"
    assert client.post("/compliance/samples/", {"control": "CT-01", "size": "0"}).status_code == 422


def test_the_end_holds_at_once_and_then_for_good():
    ravi = engaged()
    client = signed_in(ravi)
    assert client.get("/audit/").status_code == 200
    over(ravi)
    count = len(opened())
    for address in ("/audit/", "/changes/", "/api/v1/audit/entries/"):
        answer = client.get(address)
        assert (answer.status_code, "Your access ended on" in answer.content.decode()) == (403, True), address
    assert len(opened()) == count, "what was refused was not opened"
    assert engagements.settle() == 1
    assert engagements.settle() == 0
    assert not User.objects.get(pk=ravi.pk).is_active
    assert client.get("/audit/").status_code == 302
    assert not Client().login(username="ravi", password=PASSWORD)


def test_its_tokens_end_and_no_new_ones_are_made():
    ravi = person("Ravi", "audit")
    token = issue(ravi, "audit:read")
    permissions.open_log(team("audit"), by=TEST)
    headers = {"Authorization": f"Bearer {token.value}"}
    assert Client().get("/api/v1/audit/entries/", headers=headers).status_code == 200
    engagements.engage(ravi, database_time() + timedelta(days=1), by=TEST)
    assert Client().get("/api/v1/audit/entries/", headers=headers).status_code == 401
    assert signed_in(ravi).post("/api/v1/me/tokens/", {}).json()["code"] == "reads_only"


def test_the_end_is_moved_by_whoever_holds_the_terminal():
    person("Ravi", "audit")
    until = (database_time() + timedelta(days=40)).date().isoformat()
    call_command("people", "engage", "ravi", until)
    call_command("people", "engage", "ravi", (database_time() + timedelta(days=50)).date().isoformat())
    assert Engagement.objects.get().version == 2
    kinds = Entry.objects.filter(kind__startswith="engagement.").order_by("id").values_list("kind", flat=True)
    assert list(kinds) == ["engagement.started", "engagement.moved"]
    for day in ("soon", "2020-01-01", "2999-01-01"):
        with pytest.raises(CommandError, match="Nothing was changed"):
            call_command("people", "engage", "ravi", day)


def test_an_admin_a_machine_and_whoever_is_gone_cannot_be_engaged():
    with pytest.raises(Invalid, match="only an active person who is no admin"):
        engagements.engage(person("Adam", superuser=True), database_time() + timedelta(days=1), by=TEST)
