"""Accounts and teams: each act guarded, recorded once, and never undone by deleting."""

import pytest
from django.db import IntegrityError, InternalError, ProgrammingError, connection, transaction

from accounts import teams
from accounts.models import User, UserSession
from audit.models import ActorName
from tests.accounts.cast import TEST, issue, kinds, person, team

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_new_account_has_an_entry_and_a_name_beside_the_ledger():
    mara = person("Mara")
    assert kinds() == ["account.created"]
    assert ActorName.objects.get(actor=str(mara.pk)).handle == "mara"


def test_a_name_is_taken_once():
    person("Mara")
    with pytest.raises(teams.NameTaken):
        person("Mara")
    assert kinds() == ["account.created"]


def test_a_service_account_belongs_to_the_person_who_answers_for_it():
    mara = person("Mara")
    ci = teams.create_service_account(username="ci@payments", name="CI", person=mara.person, by=TEST)
    assert (ci.kind, ci.person, ci.has_usable_password()) == ("service", mara.person, False)


def test_joining_and_leaving_keep_the_group_in_step_and_the_history():
    mara = person("Mara", "payments")
    with pytest.raises(teams.AlreadyMember):
        teams.join(team("payments"), mara, by=TEST)
    teams.leave(team("payments"), mara, by=TEST)
    assert not mara.groups.exists()
    with pytest.raises(teams.NotMember):
        teams.leave(team("payments"), mara, by=TEST)
    teams.join(team("payments"), mara, by=TEST)
    assert mara.memberships.count() == 2
    assert kinds()[2:] == ["membership.started", "membership.ended", "membership.started"]


def test_a_deactivated_account_loses_its_sessions_and_tokens(client):
    mara = person("Mara")
    client.force_login(mara)
    token = issue(mara, "changes:read").token
    assert UserSession.objects.filter(user=mara).exists()
    teams.deactivate(mara, by=TEST)
    token.refresh_from_db()
    assert token.revoked_at is not None
    assert not UserSession.objects.filter(user=mara).exists()
    with pytest.raises(teams.AlreadyInactive):
        teams.deactivate(mara, by=TEST)


@pytest.mark.parametrize(
    ("plain", "counted"),
    [
        (
            "UPDATE accounts_user SET is_active = false",
            "UPDATE accounts_user SET is_active = false, version = version + 1",
        ),
        (
            "UPDATE accounts_user SET is_superuser = true",
            "UPDATE accounts_user SET is_superuser = true, version = version + 1",
        ),
    ],
)
def test_sql_cannot_change_an_account_without_an_entry(plain, counted):
    person("Mara")
    with pytest.raises((IntegrityError, InternalError, ProgrammingError), match="without a new version"):
        _sql(plain)
    with pytest.raises(IntegrityError, match="has_entry"):
        _sql(counted)


def test_an_account_is_never_deleted():
    mara = person("Mara")
    with pytest.raises((InternalError, ProgrammingError), match="never deleted"):
        _sql("DELETE FROM accounts_user")
    assert User.objects.get() == mara


def _sql(statement: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


def test_a_machine_is_never_an_admin():
    mara = person("Mara")
    ci = teams.create_service_account(username="ci@payments", name="CI", person=mara.person, by=TEST)
    with pytest.raises(teams.AlreadyAdmin, match="machine"):
        teams.promote(ci, by=TEST)
    assert not User.objects.filter(is_superuser=True).exists()
    teams.promote(mara, by=TEST)
    assert User.objects.get(is_superuser=True) == mara
