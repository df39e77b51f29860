"""The pages of secrets: a value is typed once and seen never again, not by who typed it and not beside an error."""

import pytest
from django.test import Client

from orchestration.models import Secret, SecretVersion
from tests.browser import sign_in
from tests.factories import Bank
from tests.orchestration.test_secrets import SCOPE, VALUE, stored

NEW = {"path": "payments/db-password", "owner": "payments", **SCOPE}


@pytest.fixture
def bank(transactional_db):
    return Bank()


def at(bank, who):
    return sign_in(Client(), bank.user(who))


def test_a_member_names_one_writes_it_and_reads_everything_but_its_value(bank):
    mara = at(bank, "mara")
    made = mara.post("/secrets/new/", NEW)
    assert made.status_code == 302
    written = mara.post(f"{made.url}write/", {"value": VALUE}, follow=True)
    page = written.content.decode()
    assert "payments/db-password" in page
    assert "Save as version 2" in page
    assert "deploy" in page
    pages = [page, mara.get("/secrets/").content.decode()]
    assert not any(VALUE in one for one in pages)
    assert SecretVersion.objects.get().author == bank.user("mara")


def test_what_cannot_be_stored_is_told_without_repeating_it(bank):
    mara, secret = at(bank, "mara"), stored(bank)
    refused = mara.post(f"/secrets/{secret.pk}/write/", {"value": "q7z"})
    assert refused.status_code == 422
    assert "cannot be masked" in refused.content.decode()
    assert "q7z" not in refused.content.decode()
    refused = mara.post("/secrets/new/", {**NEW, "path": "Not a path"})
    assert (refused.status_code, Secret.objects.count()) == (422, 1)


def test_a_version_is_destroyed_and_a_scope_narrowed_by_its_team(bank):
    mara, secret = at(bank, "mara"), stored(bank, environments=["staging", "production"])
    mara.post(f"/secrets/{secret.pk}/narrow/", SCOPE)
    mara.post(f"/secrets/{secret.pk}/versions/1/destroy/")
    secret.refresh_from_db()
    assert secret.environments == ["production"]
    assert not secret.standing.exists()
    wider = mara.post(f"/secrets/{secret.pk}/narrow/", {**SCOPE, "environments": ["production", "test"]})
    assert (wider.status_code, "Ask for it: secret-scope" in wider.content.decode()) == (409, True)


@pytest.mark.parametrize(("who", "status"), [("noor", 404), ("ravi", 404), ("sam", 403)])
def test_nobody_else_writes_and_other_teams_do_not_find_it(bank, who, status):
    secret, other = stored(bank), at(bank, who)
    assert other.get(f"/secrets/{secret.pk}/").status_code == (200 if who == "sam" else 404)
    for act in ("write/", "narrow/", "versions/1/destroy/"):
        assert other.post(f"/secrets/{secret.pk}/{act}", {"value": VALUE, **SCOPE}).status_code == status
    assert ("payments/db-password" in other.get("/secrets/").content.decode()) is (who == "sam")
    assert secret.versions.count() == 1
