"""`manage.py people`: an installation without the demo gets its first admin, its teams and its grants."""

import io

import pytest
from django.core.management import CommandError, call_command

from accounts import permissions
from accounts.models import Team, User
from audit.canonical import parse
from audit.ledger.entry import system
from audit.models import Entry
from orchestration import catalogue
from orchestration.models import Environment, Service

pytestmark = pytest.mark.django_db
BY = system("system:test")
GOOD = "a horse, a battery\n"


def people(*arguments):
    said = io.StringIO()
    call_command("people", *arguments, stdout=said)
    return said.getvalue().strip()


@pytest.fixture
def typed(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(GOOD))


@pytest.fixture
def places():
    for slug, position in (("staging", 1), ("production", 2)):
        catalogue.create_environment(slug=slug, name=slug, tier=1, position=position, by=BY)
    people("team", "payments", "Payments")
    people("add", "mara", "Mara Lindqvist", "--no-password")
    people("join", "payments", "mara", "--lead")


def newest():
    return parse(bytes(Entry.objects.order_by("-id")[0].body))


def test_the_first_admin_can_sign_in(typed):
    assert people("add", "sam", "Sam Okoye", "--admin") == "Sam Okoye is sam, an admin."
    sam = User.objects.get(username="sam")
    assert sam.is_superuser
    assert sam.check_password(GOOD.strip())
    assert newest()["type"] == "account.created"
    assert newest()["actor"]["id"] == "system:terminal"


def test_a_short_password_makes_no_account(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("short\n"))
    with pytest.raises(CommandError, match="Nothing was done"):
        people("add", "sam", "Sam Okoye")
    assert not User.objects.exists()


def test_without_a_password_nobody_signs_in(places):
    assert not User.objects.get(username="mara").has_usable_password()


def test_a_machine_has_a_person_who_answers_for_it(places):
    people("service", "ci", "ci@payments", "--person", "mara")
    assert User.objects.get(username="ci").person == User.objects.get(username="mara").person
    assert User.objects.get(username="ci").ceiling == ["audit:read", "changes:read", "reports:read"]


def test_the_terminal_says_what_the_tokens_of_a_new_machine_may_do(places):
    people("service", "ci", "ci@payments", "--person", "mara", "--scopes", "runs:write", "changes:write")
    assert User.objects.get(username="ci").ceiling == ["changes:write", "runs:write"]
    with pytest.raises(CommandError, match="everything"):
        people("service", "other", "other", "--person", "mara", "--scopes", "everything")


def test_a_team_is_granted_all_there_are_and_loses_one(places):
    mara = User.objects.get(username="mara")
    people("grant", "payments", "request", "environment:*")
    people("revoke", "payments", "request", "environment:production")
    asked = permissions.visible(mara, Environment.objects.all(), "request")
    assert [one.slug for one in asked] == ["staging"]
    assert newest()["type"] == "permission.revoked"


def test_the_log_is_opened_to_a_team_and_closed_with_an_entry_each(places):
    people("grant", "payments", "view", "log")
    assert User.objects.get(username="mara").has_perm("audit.view_entry")
    assert (newest()["type"], newest()["data"]["object"]) == ("permission.granted", "log")
    people("revoke", "payments", "view", "log")
    assert not User.objects.get(username="mara").has_perm("audit.view_entry")
    assert newest()["type"] == "permission.revoked"


def test_opening_the_log_twice_tells_it_once(places):
    people("grant", "payments", "view", "log")
    before = Entry.objects.count()
    people("grant", "payments", "view", "log")
    assert Entry.objects.count() == before


def test_whoever_leaves_loses_what_the_team_may_do(places):
    catalogue.create_service(slug="api", name="API", tier=1, owner=Team.objects.get(), by=BY)
    people("grant", "payments", "view", "service:api", "log")
    people("leave", "payments", "mara")
    mara = User.objects.get(username="mara")
    assert not permissions.may(mara, "view", Service.objects.get())
    assert not mara.has_perm("audit.view_entry")


def test_a_deactivated_account_is_told_by_name(places):
    assert people("deactivate", "mara") == "Mara Lindqvist is inactive."
    assert not User.objects.get(username="mara").is_active


@pytest.mark.parametrize(
    "arguments",
    [
        ["join", "nobody", "mara"],
        ["join", "payments", "nobody"],
        ["team", "payments", "Again"],
        ["grant", "payments", "view", "service:none"],
        ["grant", "payments", "sign_off", "log"],
        ["grant", "payments", "view", "person:mara"],
    ],
)
def test_what_does_not_exist_is_refused_in_a_sentence(places, arguments):
    before = Entry.objects.count()
    with pytest.raises(CommandError, match=r"nothing was (changed|created)"):
        people(*arguments)
    assert Entry.objects.count() == before
