"""Tokens: kept as a hash, bounded by who makes them, ended once."""

from datetime import timedelta

import pytest

from accounts import teams, tokens
from accounts.acting import Acting
from accounts.models import Token
from audit.refusals import Invalid, NotAllowed
from tests.accounts.cast import NOW, TEST, issue, kinds, person

pytestmark = pytest.mark.django_db(transaction=True)


def test_only_the_hash_of_a_token_is_kept():
    issued = issue(person("Mara"), "changes:read")
    secret = issued.value.split("_", 2)[2]
    row = Token.objects.values().get()
    assert not any(secret in str(value) for value in row.values())
    assert tokens.find(issued.value) == issued.token
    assert kinds()[-1] == "token.created"


@pytest.mark.parametrize("scopes", [[], ["everything"], ["changes:read", "sign_off"]])
def test_only_known_scopes_are_given(scopes):
    with pytest.raises(Invalid):
        issue(person("Mara"), *scopes)


@pytest.mark.parametrize("days", [-1, 0, 366])
def test_an_expiry_lies_ahead_and_within_a_year(days):
    with pytest.raises(Invalid):
        issue(person("Mara"), "changes:read", days=days)


def test_a_token_makes_no_wider_and_no_longer_lived_one():
    sam = person("Sam", superuser=True)
    parent = issue(sam, "admin", "changes:read", days=10).token
    through = Acting(sam, "token", token=parent)
    assert issue(sam, "changes:read", by=through, days=10).token.expires_at == parent.expires_at
    with pytest.raises(NotAllowed, match="wider"):
        issue(sam, "changes:write", by=through, days=1)
    with pytest.raises(NotAllowed, match="outlives"):
        issue(sam, "changes:read", by=through, days=11)


def test_the_scope_admin_needs_an_administrator():
    with pytest.raises(NotAllowed):
        issue(person("Mara"), "admin")


def test_one_makes_tokens_for_oneself_and_the_machines_one_answers_for():
    mara, noor = person("Mara"), person("Noor")
    ci = teams.create_service_account(username="ci", name="CI", person=mara.person, by=TEST)
    assert issue(ci, "changes:read", by=Acting(mara, "session")).token.user == ci
    for other in (ci, mara):
        with pytest.raises(NotAllowed, match="answer for"):
            issue(other, "changes:read", by=Acting(noor, "session"))


def test_a_token_ends_once_and_only_by_its_owner():
    mara, noor = person("Mara"), person("Noor")
    token = issue(mara, "changes:read").token
    with pytest.raises(NotAllowed):
        tokens.revoke(token, by=Acting(noor, "session"))
    tokens.revoke(token, by=Acting(mara, "session"))
    with pytest.raises(tokens.AlreadyRevoked):
        tokens.revoke(token, by=Acting(mara, "session"))
    assert kinds().count("token.revoked") == 1
    assert "revoked" in tokens.why_not(token, at=NOW)


def test_an_expired_token_says_so():
    token = issue(person("Mara"), "changes:read", days=1).token
    assert tokens.why_not(token, at=NOW) == ""
    assert "expired" in tokens.why_not(token, at=NOW + timedelta(days=1))
