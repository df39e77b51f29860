"""Votes that should not count, over HTTP: twice, out of turn, too late, on something else, in somebody's name."""

import json
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import connections, transaction

from approvals.models import SignOff
from audit.models import Entry
from orchestration.engine.reconcile import expire
from orchestration.models import Change
from tests.browser import Browser, decision
from tests.factories import Bank
from tests.orchestration.test_stages import again, judge

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def bank():
    return Bank()


def read(bank, change, who="jonas"):
    return Browser(bank, who).get(f"changes/{change.key}/").json()


def test_c02_fifty_votes_at_once_with_keys_of_their_own_are_one(bank):
    change = bank.change()
    body, meet = decision(read(bank, change), "Service owner", "approve"), Barrier(50, timeout=60)
    browsers = [Browser(bank, "jonas") for _ in range(50)]

    def vote(browser):
        try:
            meet.wait()
            return browser.post(f"changes/{change.key}/sign-offs/", body).status_code
        finally:
            connections.close_all()

    with ThreadPoolExecutor(50) as threads:
        said = list(threads.map(vote, browsers))
    assert sorted(said) == [201] + [409] * 49
    assert SignOff.objects.count() == 1
    assert Entry.objects.filter(kind="sign_off.given").count() == 1


def test_c07_a_vote_on_a_later_stage_waits_for_the_earlier(bank):
    judge(order=2)
    change = bank.change()
    said = Browser(bank, "noor").post(
        f"changes/{change.key}/sign-offs/", decision(read(bank, change), "Security", "approve")
    )
    assert (said.status_code, said.json()["code"]) == (409, "stage_not_open")
    refused = Entry.objects.get(kind="attempt.refused")
    assert (refused.subject, refused.actor) == (change.key, str(bank.user("noor").pk))


def test_c06_a_vote_after_the_request_expired_is_refused(bank):
    change = bank.change()
    body = decision(read(bank, change), "Service owner", "approve")
    with transaction.atomic():
        expire(again(change))
    said = Browser(bank, "jonas").post(f"changes/{change.key}/sign-offs/", body)
    assert (said.status_code, said.json()["code"]) == (409, "not_waiting")
    assert Change.objects.get().state == "expired"


def test_c10_a_vote_names_the_chain_that_was_read(bank):
    change = bank.change()
    seen = decision(read(bank, change), "Service owner", "approve")
    changed = Browser(bank, "mara").patch(
        f"changes/{change.key}/",
        {"reason": "Another reason."},
        **{"If-Match": Browser(bank, "mara").get(f"changes/{change.key}/").headers["ETag"]},
    )
    assert changed.status_code == 200
    fresh = decision(read(bank, change), "Service owner", "approve")
    for body in (seen, {**fresh, "chain_digest": seen["chain_digest"]}, {**fresh, "stage": seen["stage"]}):
        said = Browser(bank, "jonas").post(f"changes/{change.key}/sign-offs/", body)
        assert (said.status_code, said.json()["code"]) == (409, "stale_version")
    assert not SignOff.objects.exists()


@pytest.mark.parametrize("field", ["user", "person", "approver", "by", "user_id", "on_behalf_of", "given_at"])
def test_c11_the_voter_comes_from_the_session_alone(bank, field):
    change = bank.change()
    body = decision(read(bank, change), "Service owner", "approve")
    for value in ("NOOR", " noor", str(bank.user("noor").pk)):
        said = Browser(bank, "jonas").post(f"changes/{change.key}/sign-offs/", {**body, field: value})
        assert said.status_code == 422
    assert not SignOff.objects.exists()


def test_c11_a_vote_is_insert_only(bank):
    change = bank.change()
    bank.say(change, "jonas")
    row = SignOff.objects.get()
    noor = Browser(bank, "noor").client
    for method in ("PUT", "PATCH", "DELETE"):
        for path in ("", f"{row.pk}/", f"{row.pk}/withdraw/"):
            answer = noor.generic(
                method,
                f"/api/v1/changes/{change.key}/sign-offs/{path}",
                json.dumps({"decision": "reject"}),
                content_type="application/json",
            )
            assert answer.status_code in {404, 405}, (method, path)
    withdrawn = Browser(bank, "noor").post(f"changes/{change.key}/sign-offs/{row.pk}/withdraw/")
    assert withdrawn.status_code == 403
    assert SignOff.objects.get().version == 1
