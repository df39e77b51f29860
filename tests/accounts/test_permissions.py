"""Grants: denied unless a team was granted it and the membership is open."""

import pytest
from django.contrib.auth.models import AnonymousUser

from accounts import permissions, teams
from accounts.permissions import VERBS, grant, may, require, revoke, visible
from audit.refusals import Invalid, NotAllowed, NotFound
from orchestration.models import Environment
from tests.accounts.cast import TEST, governed, kinds, person, team

pytestmark = pytest.mark.django_db(transaction=True)


def environment(slug: str) -> Environment:
    return governed(Environment(slug=slug, name=slug.title(), tier=1, position=1))


@pytest.fixture
def production():
    return environment("production")


@pytest.mark.parametrize("verb", VERBS)
def test_nothing_is_allowed_without_a_grant(production, verb):
    mara = person("Mara", "payments")
    assert not may(mara, verb, production)
    assert not visible(mara, Environment.objects.all(), verb).exists()


@pytest.mark.parametrize("verb", VERBS)
def test_a_grant_allows_its_verb_and_seeing_and_nothing_else(production, verb):
    mara = person("Mara", "payments")
    grant(team("payments"), verb, production, by=TEST)
    assert {one for one in VERBS if may(mara, one, production)} == {verb, "view"}
    assert visible(mara, Environment.objects.all()).get() == production


def test_a_superuser_sees_everything_and_may_do_nothing_without_a_grant(production):
    sam = person("Sam", superuser=True)
    assert [one for one in VERBS if may(sam, one, production)] == ["view"]
    assert not visible(sam, Environment.objects.all(), "sign_off").exists()


def test_a_grant_ends_with_the_membership(production):
    mara = person("Mara", "payments")
    grant(team("payments"), "sign_off", production, by=TEST)
    teams.leave(team("payments"), mara, by=TEST)
    assert not may(mara, "view", production)


def test_a_line_in_the_groups_table_gives_nothing_without_a_membership(production):
    mara = person("Mara")
    grant(team("payments"), "sign_off", production, by=TEST)
    mara.groups.add(team("payments").group)
    assert not may(mara, "sign_off", production)
    assert permissions.strays() == 1


def test_a_deactivated_account_and_nobody_may_nothing(production):
    mara = person("Mara", "payments")
    grant(team("payments"), "request", production, by=TEST)
    teams.deactivate(mara, by=TEST)
    assert not may(mara, "request", production)
    assert not may(AnonymousUser(), "view", production)
    assert not visible(AnonymousUser(), Environment.objects.all()).exists()


def test_granting_and_revoking_are_recorded_once_each(production):
    payments = team("payments")
    for _ in range(2):
        grant(payments, "request", production, by=TEST)
    for _ in range(2):
        revoke(payments, "request", production, by=TEST)
    assert kinds()[2:] == ["permission.granted", "permission.revoked"]
    assert payments.version == 3


def test_a_grant_of_one_row_says_nothing_about_another(production):
    mara = person("Mara", "payments")
    grant(team("payments"), "request", production, by=TEST)
    assert not may(mara, "view", environment("test"))


def test_visible_is_one_query(production, django_assert_num_queries):
    mara = person("Mara", "payments")
    may(mara, "view", production)  # the content type is read once per process
    with django_assert_num_queries(1):
        list(visible(mara, Environment.objects.all()))


def test_what_may_not_be_seen_is_not_found_and_what_may_is_refused_with_who_can(production):
    mara = person("Mara", "payments")
    with pytest.raises(NotFound):
        require(mara, "sign_off", production)
    grant(team("payments"), "view", production, by=TEST)
    grant(team("security"), "sign_off", production, by=TEST)
    with pytest.raises(NotAllowed, match="Who can: Security"):
        require(mara, "sign_off", production)


def test_who_may_names_active_members_once(production):
    noor = person("Noor", "security", "risk")
    for slug in ("security", "risk"):
        grant(team(slug), "sign_off", production, by=TEST)
    teams.deactivate(person("Ines", "security"), by=TEST)
    assert list(permissions.people_who_may("sign_off", production)) == [noor]


def test_a_verb_that_the_thing_does_not_know_is_refused():
    with pytest.raises(Invalid):
        grant(team("payments"), "sign_off", team("risk"), by=TEST)
