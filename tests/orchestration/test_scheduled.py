"""Scheduled changes: agreed before their time, started at it and by nobody earlier, expired after it."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client

from approvals.clock import database_time
from audit.models import Entry
from audit.refusals import Invalid
from orchestration import asking, changes
from orchestration.definitions.repeats import Window
from orchestration.engine import reconcile
from orchestration.models import Change, Revision, Run, Step
from tests.factories import Bank
from tests.orchestration.deeds import claimed, holding

C = Change.State


@pytest.fixture
def bank(transactional_db) -> Bank:
    return Bank()


def hours(count):
    return database_time() + timedelta(hours=count)


def state(change):
    return Change.objects.get(pk=change.pk).state


def its_time_comes():
    """The gate reads the database's clock and the signed bytes, so a second has to pass."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(1.2)")
    Step.objects.update(not_before=database_time())


def test_what_is_agreed_before_its_time_is_scheduled_and_starts_at_it(bank):
    change = bank.approved(not_before=hours(1 / 3600))
    assert state(change) == C.SCHEDULED
    assert Entry.objects.filter(kind="change.scheduled", subject=change.key).count() == 1
    its_time_comes()
    holding(change.runs.get().steps.get())
    assert state(change) == C.RUNNING


def test_a_row_that_names_an_earlier_time_than_was_signed_starts_nothing(bank):
    change = bank.approved(not_before=hours(2))
    Revision.objects.filter(change=change).update(not_before=hours(-1))
    Step.objects.update(not_before=hours(-1))
    assert claimed(change.runs.get().steps.get()) is None
    assert "may not start before" in Step.objects.get().held_reason


def test_what_is_agreed_after_its_time_starts_at_once(bank):
    change = bank.approved(not_before=hours(-1), not_after=hours(1))
    assert state(change) == C.APPROVED
    holding(change.runs.get().steps.get())


def test_nobody_starts_it_earlier(bank):
    change = bank.approved(not_before=hours(2))
    changes.start(change, by=bank.people["mara"])
    assert claimed(change.runs.get().steps.get()) is None
    assert state(change) == C.SCHEDULED


def test_another_time_is_another_revision_and_asks_everyone_again(bank):
    change = bank.approved(not_before=hours(2))
    window = Window(hours(3))
    again = asking.ask_again(
        change, inputs={"version": "42"}, reason="Later.", window=window, by=bank.people["mara"]
    )
    changes.revise(change, again)
    assert state(change) == C.WAITING
    assert not asking.current_revision(Change.objects.get(pk=change.pk)).chain.sign_offs.exists()
    assert Run.objects.get(change=change).state == "cancelled"


def test_an_approval_withdrawn_before_its_time_makes_it_wait_and_a_new_one_schedules_it_again(bank):
    change = bank.approved(not_before=hours(2))
    mine = asking.current_revision(change).chain.sign_offs.get(user=bank.user("noor"))
    changes.withdraw_sign_off(change, mine.pk, by=bank.people["noor"])
    assert state(change) == C.WAITING
    bank.say(change, "ines")
    assert state(change) == C.SCHEDULED


def test_a16_a_start_later_than_the_sign_offs_last_is_refused(bank):
    """Approved long ago, executed later: the starter policy lets sign-offs hold for three days."""
    with pytest.raises(Invalid, match="sign-offs would end") as refused:
        bank.change(not_before=hours(73))
    assert refused.value.errors[0]["pointer"] == "/not_before"
    assert bank.change(not_before=hours(71))


def test_a16_what_did_not_start_in_time_expires(bank):
    change = bank.approved(not_before=hours(1), not_after=hours(2))
    with connection.cursor() as cursor:
        cursor.execute("UPDATE orchestration_revision SET not_after = now() - interval '1 second'")
    reconcile.reconcile()
    assert state(change) == C.EXPIRED
    assert Run.objects.get(change=change).state == "cancelled"


def test_the_form_takes_the_times_and_shows_them_again(bank):
    client = Client()
    client.force_login(bank.user("mara"))
    at = f"{hours(5):%Y-%m-%dT%H:%M}"
    typed = {
        "service": "web-bank", "environment": "production", "inputs.version": "42", "reason": "Tonight.",
        "not_before": at, "not_after": "",
    }  # fmt: skip
    assert client.post("/workflows/deploy/new/", typed).status_code == 302
    change = Change.objects.get()
    begins = asking.current_revision(change).not_before
    assert begins is not None
    assert f"{begins:%Y-%m-%dT%H:%M}" == at
    assert f'value="{at}"' in client.get(f"/changes/{change.key}/edit/").content.decode()
    bank.say(change, "jonas")
    bank.say(change, "noor")
    assert "Start waits until" in client.get(f"/changes/{change.key}/").content.decode()
    wrong = client.post("/workflows/deploy/new/", {**typed, "not_before": "tomorrow"})
    assert (wrong.status_code, "Give a day and a time." in wrong.content.decode()) == (422, True)
