"""The doors of destinations, pages and API: whom they open to, and what an admin does through them."""

import pytest
from django.contrib.auth.models import Permission
from django.db import transaction
from django.test import Client

from accounts.models import Team
from audit.models import Entry
from orchestration.actions import egress
from orchestration.models import Destination
from orchestration.outgoing import destinations
from tests.accounts.cast import bearer, issue
from tests.audit.log import sequence, write
from tests.browser import Browser
from tests.factories import TEST, Bank
from tests.orchestration.outgoing import SETTINGS, lend_secrets

pytestmark = pytest.mark.django_db(transaction=True)
WRONG = "It answered with status 500."
PAGES = ("", "live/", "{}/", "{}/live/")
ACTS = ("test", "resume", "skip")


@pytest.fixture
def bank(monkeypatch):
    """Sam is admin, Noor reads the log, Mara neither."""
    monkeypatch.setenv(egress.ALLOWED, "127.0.0.1")
    made = Bank()
    lend_secrets(made.teams["platform"], by=made.people["sam"])
    group = Team.objects.get(slug="security").group
    group.permissions.add(Permission.objects.get(codename="view_entry"))
    return made


@pytest.fixture
def at(bank):
    return {name: Browser(bank, name) for name in ("sam", "noor", "mara")}


@pytest.fixture
def given_up(bank):
    """It takes nothing, and an entry waits for it."""
    about = {"kind": "webhook", **SETTINGS, "url": "https://siem.bank.example/events"}
    one = destinations.create(name="siem", from_beginning=True, by=TEST, **about)
    write(2)
    sequence()
    Destination.objects.filter(pk=one.pk).update(
        attempts=14, failing_since="2026-09-01T00:00Z", last_error=WRONG
    )
    return Destination.objects.get(pk=one.pk)


@pytest.mark.parametrize("who", ["sam", "noor"])
def test_admins_and_auditors_see_where_entries_go_and_why_one_fails(at, given_up, who):
    for page in PAGES:
        answer = at[who].client.get(f"/admin/destinations/{page.format(given_up.pk)}")
        assert answer.status_code == 200
        assert WRONG in answer.content.decode()
    (listed,) = at[who].get("destinations/").json()["results"]
    assert listed == at[who].get(f"destinations/{given_up.pk}/").json()
    assert (listed["state"], listed["secret"], listed["last_error"]) == ("failing", "platform/siem", WRONG)
    assert listed["behind"] > 2
    assert 'href="/admin/destinations/"' in at[who].client.get("/me/").content.decode()


def test_nobody_else_learns_that_there_is_one(at, given_up):
    mara = at["mara"]
    for page in PAGES:
        answer = mara.client.get(f"/admin/destinations/{page.format(given_up.pk)}")
        assert answer.status_code == (404 if "{}" in page else 403)
        assert "siem" not in answer.content.decode()
    assert mara.get("destinations/").status_code == 403
    assert mara.get(f"destinations/{given_up.pk}/").status_code == 404
    for act in ACTS:
        assert (
            mara.client.post(f"/admin/destinations/{given_up.pk}/{act}/", {"reason": "x"}).status_code == 404
        )
        assert mara.post(f"destinations/{given_up.pk}/{act}/", {"reason": "x"}).status_code == 404
    assert "/admin/destinations/" not in mara.client.get("/me/").content.decode()


def test_an_auditor_looks_and_does_not_touch(at, given_up):
    page = at["noor"].client.get(f"/admin/destinations/{given_up.pk}/").content.decode()
    assert "Try again now" not in page
    assert "Send a test event" not in page
    for act in ACTS:
        answer = at["noor"].client.post(f"/admin/destinations/{given_up.pk}/{act}/", {"reason": "x"})
        assert answer.status_code == 403
        body = {} if act == "test" else {"reason": "x"}
        assert at["noor"].post(f"destinations/{given_up.pk}/{act}/", body).status_code == 403
    tried = {one.subject for one in Entry.objects.filter(kind="attempt.refused")}
    assert "destination:siem" in tried
    assert Destination.objects.get().version == 1


def test_an_admin_has_it_tested_tried_again_and_skipped_on_its_page(at, given_up):
    page = f"/admin/destinations/{given_up.pk}/"
    sam = at["sam"].client
    assert "Try again now" in sam.get(page).content.decode()
    answer = sam.post(f"{page}resume/", {"reason": " "})
    assert answer.status_code == 422
    assert "Say why" in answer.content.decode()
    for act in ACTS:
        Destination.objects.update(attempts=14, failing_since="2026-09-01T00:00Z")
        answer = sam.post(f"{page}{act}/", {"reason": "Their parser is repaired."})
        assert (answer.status_code, answer.headers["Location"]) == (302, page)
    shown = sam.get(page).content.decode()
    assert "had it tried again" in shown
    assert "Their parser is repaired." in shown
    told = Entry.objects.filter(subject="destination:siem").order_by("id").values_list("kind", flat=True)
    assert list(told)[-3:] == ["destination.tested", "destination.resumed", "destination.skipped"]


def test_the_same_by_the_api_and_a_test_that_is_repeated_is_one(at, given_up):
    sam, path = at["sam"], f"destinations/{given_up.pk}"
    assert sam.post(f"{path}/test/", key="once").status_code == 202
    assert sam.post(f"{path}/test/", key="once").status_code == 202
    assert Entry.objects.filter(kind="destination.tested").count() == 1
    assert sam.post(f"{path}/resume/", {}).status_code in {400, 422}
    resumed = sam.post(f"{path}/resume/", {"reason": "Repaired."}).json()
    assert (resumed["state"], resumed["attempts"], resumed["failing_since"]) == ("active", 0, None)
    answer = sam.post(f"{path}/skip/", {"reason": "Never mind."})
    assert (answer.status_code, answer.json()["code"]) == (409, "move_not_allowed")


def test_the_inbox_of_the_api_tells_an_admin(at, given_up):
    with transaction.atomic():
        destinations.pause(given_up, why=WRONG)
    (notice,) = at["sam"].get("me/inbox/").json()["notices"]
    assert (notice["kind"], notice["change"], notice["title"]) == ("given_up", None, "CloudEvents by webhook")
    assert notice["url"] == f"/admin/destinations/{given_up.pk}/"
    assert at["noor"].get("me/inbox/").json()["notices"] == []
    assert "it was given up" in at["sam"].client.get("/inbox/").content.decode()


def test_a_token_needs_the_scope(bank, given_up):
    for scope, status in (("audit:read", 200), ("changes:read", 403)):
        token = bearer(issue(bank.user("sam"), scope))
        assert Client().get("/api/v1/destinations/", **token).status_code == status


def test_the_page_says_so_when_nothing_leaves(at):
    assert "No entry leaves the house" in at["sam"].client.get("/admin/destinations/").content.decode()
