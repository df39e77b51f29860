"""Secrets through the API and at the terminal: values go in, and none comes out by any door."""

import io
import json

import pytest
from django.core.management import CommandError, call_command

from audit.models import Entry
from orchestration.models import Secret, SecretVersion
from tests.browser import Browser
from tests.factories import Bank
from tests.orchestration.test_secrets import SCOPE, VALUE

pytestmark = pytest.mark.django_db(transaction=True)
NEW = {"path": "payments/db-password", "owner": "payments", **SCOPE}


@pytest.fixture
def at():
    bank = Bank()
    return {name: Browser(bank, name) for name in bank.people}


def test_a_value_is_written_and_every_answer_speaks_about_it_only(at):
    mara = at["mara"]
    made = mara.post("secrets/", NEW)
    assert made.status_code == 201, made.content
    key = made.json()["id"]
    answers = [made, mara.post(f"secrets/{key}/versions/", {"value": VALUE}, key="k")]
    answers += [
        mara.post(f"secrets/{key}/versions/", {"value": VALUE}, key="k")
    ]  # the same request once more
    assert [one.status_code for one in answers] == [201, 201, 201]
    answers += [mara.get("secrets/"), mara.get(f"secrets/{key}/"), mara.client.get("/api/v1/schema/")]
    answers += [mara.post(f"secrets/{key}/versions/", {"value": VALUE + "2"}, key="k")]
    assert answers[-1].status_code == 422
    assert not any(VALUE in one.content.decode() for one in answers)
    assert [one["number"] for one in mara.get(f"secrets/{key}/").json()["versions"]] == [1]
    assert not any(VALUE.encode() in bytes(one.body) for one in Entry.objects.all())


def test_who_is_in_no_team_of_it_does_not_find_it_and_an_administrator_cannot_write_it(at):
    key = at["mara"].post("secrets/", NEW).json()["id"]
    assert at["noor"].get("secrets/").json()["results"] == []
    for answer in (
        at["noor"].get(f"secrets/{key}/"),
        at["noor"].post(f"secrets/{key}/versions/", {"value": VALUE}),
    ):
        assert answer.status_code == 404
    assert at["sam"].get(f"secrets/{key}/").status_code == 200
    assert at["sam"].post(f"secrets/{key}/versions/", {"value": VALUE}).status_code == 403
    assert at["sam"].post("secrets/", {**NEW, "path": "payments/other"}).status_code == 403
    assert not SecretVersion.objects.exists()


def test_its_team_narrows_it_and_destroys_a_version(at):
    mara = at["mara"]
    made = mara.post("secrets/", {**NEW, "environments": ["staging", "production"]})
    key, tag = made.json()["id"], {"If-Match": mara.get(f"secrets/{made.json()['id']}/").headers["ETag"]}
    assert mara.patch(f"secrets/{key}/", SCOPE, **tag).json()["environments"] == ["production"]
    tag = {"If-Match": mara.get(f"secrets/{key}/").headers["ETag"]}
    wider = mara.patch(f"secrets/{key}/", {**SCOPE, "environments": ["production", "test"]}, **tag)
    assert (wider.status_code, wider.json()["code"]) == (409, "weakens_protection")
    mara.post(f"secrets/{key}/versions/", {"value": VALUE})
    assert mara.post(f"secrets/{key}/versions/1/destroy/").status_code == 200
    assert mara.post(f"secrets/{key}/versions/1/destroy/").status_code == 404


@pytest.mark.parametrize(
    ("changed", "pointer"),
    [
        ({"path": "../etc"}, "/path"),
        ({"path": "Payments/DB"}, "/path"),
        ({"environments": []}, "/environments"),
        ({"environments": ["moon"]}, "/environments"),
        ({"services": ["moon"]}, "/services"),
        ({"owner": "moon"}, "/owner"),
        ({"provider": "vault"}, "/provider"),
    ],
)
def test_what_does_not_fit_is_told_by_its_place(at, changed, pointer):
    answer = at["mara"].post("secrets/", {**NEW, **changed})
    assert answer.status_code == 422
    assert pointer in {one["pointer"] for one in answer.json()["errors"]}
    assert not Secret.objects.exists()


def test_at_a_terminal_a_value_comes_on_stdin_and_the_list_has_none(at, monkeypatch):
    out = io.StringIO()
    scope = [f"--{name}={' '.join(one)}" for name, one in SCOPE.items()]
    call_command("secret", "create", "payments/db-password", "--team=payments", *scope, stdout=out)
    monkeypatch.setattr("sys.stdin", io.StringIO(VALUE + "\n"))
    call_command("secret", "set", "payments/db-password", stdout=out)
    call_command("secret", "list", stdout=out)
    assert "payments/db-password has version 1." in out.getvalue()
    assert VALUE not in out.getvalue()
    monkeypatch.setattr("sys.stdin", io.StringIO("abc"))
    for wrong in (("set", "payments/db-password"), ("set", "payments/none"), ("create", "payments/x")):
        with pytest.raises(CommandError) as refused:
            call_command("secret", *wrong, stdout=out)
        assert json.dumps("abc") not in str(refused.value)
