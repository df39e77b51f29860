"""Changes that come back: one approval of the whole schedule, a run for each time, judged anew at each."""

from datetime import timedelta

import pytest
from django.db.models.functions import Now
from django.test import Client

from accounts import teams
from approvals.clock import database_time
from approvals.models import Permit
from audit.refusals import Invalid
from orchestration import asking, changes
from orchestration.definitions import repeats as times
from orchestration.definitions.repeats import Repeat
from orchestration.engine import reconcile
from orchestration.models import Change, Run, Step
from tests.approvals.cast import sql
from tests.factories import TEST, Bank
from tests.orchestration.deeds import claimed, ended, holding

C = Change.State
DAILY = Repeat("Europe/Zurich", "FREQ=DAILY;COUNT=3")


@pytest.fixture
def bank(transactional_db) -> Bank:
    return Bank()


def minutes(count):
    return database_time().replace(microsecond=0) + timedelta(minutes=count)


def daily(bank, *, begins=-5, ends=60, repeats=DAILY):
    """Approved, and its first time is now unless said otherwise."""
    return bank.approved(not_before=minutes(begins), not_after=minutes(ends), repeats=repeats)


def state(change):
    return Change.objects.get(pk=change.pk).state


def runs(change):
    return list(Run.objects.filter(change=change).order_by("number"))


def only_step(run):
    return run.steps.get()


def run_once(change):
    ended(holding(only_step(runs(change)[-1])))


def test_each_time_is_a_run_and_a_permit_of_its_own_under_one_approval(bank):
    change = daily(bank)
    run_once(change)
    first, second = runs(change)
    assert (first.state, second.state, state(change)) == ("succeeded", "ready", C.SCHEDULED)
    assert second.occurs_at - first.occurs_at == timedelta(days=1)
    assert first.digest == second.digest
    assert claimed(only_step(second)) is None
    assert Permit.objects.count() == 1
    assert asking.current_revision(change).chain.sign_offs.count() == 2


def test_after_the_last_time_it_has_succeeded(bank):
    change = daily(bank, repeats=Repeat("UTC", "FREQ=DAILY;COUNT=1"))
    run_once(change)
    assert (len(runs(change)), state(change)) == (1, C.SUCCEEDED)


def test_a_failure_ends_it(bank):
    change = daily(bank)
    ended(holding(only_step(runs(change)[0])), "failed")
    assert (len(runs(change)), state(change)) == (1, C.FAILED)


def test_a_time_that_went_by_is_left_out_and_the_next_one_awaited(bank):
    change = daily(bank)
    sql("UPDATE orchestration_run SET start_by = now() - interval '1 second'")
    assert reconcile.reconcile()["missed"] == 1
    missed, following = runs(change)
    assert (missed.state, following.state, state(change)) == ("cancelled", "ready", C.APPROVED)
    assert following.occurs_at > missed.occurs_at
    assert reconcile.reconcile()["missed"] == 0


def test_a_run_at_a_time_that_was_not_signed_starts_nothing(bank):
    change = daily(bank, begins=600, ends=660)
    sql("UPDATE orchestration_run SET occurs_at = %s", minutes(-1))
    Step.objects.update(not_before=Now())
    assert claimed(only_step(runs(change)[0])) is None
    assert "at no time that" in Step.objects.get().held_reason
    assert not Permit.objects.exists()


def test_a_row_that_names_a_later_time_as_now_starts_nothing(bank):
    """The bytes say when that time begins."""
    change = daily(bank, begins=600, ends=660)
    Step.objects.update(not_before=Now())
    assert claimed(only_step(runs(change)[0])) is None
    assert "may not start before" in Step.objects.get().held_reason


def test_a18_a_schedule_that_is_edited_is_asked_about_again(bank):
    """Created under approval, pointed elsewhere later: the schedule is in the digest, so any edit voids."""
    change = daily(bank, begins=600, ends=660)
    before = asking.current_revision(change)
    again = asking.ask_again(
        change, inputs={"version": "42"}, reason="Oftener.", by=bank.people["mara"],
        window=times.window(minutes(30), minutes(60), Repeat("UTC", "FREQ=DAILY;COUNT=9")),
    )  # fmt: skip
    changes.revise(change, again)
    change = Change.objects.get(pk=change.pk)
    after = asking.current_revision(change)
    assert (state(change), after.digest != before.digest) == (C.WAITING, True)
    assert not after.chain.sign_offs.exists()
    assert [run.state for run in runs(change)] == ["cancelled"]
    bank.say(change, "jonas")
    bank.say(change, "noor")
    assert state(change) == C.SCHEDULED


def test_a18_the_same_content_at_other_times_has_another_digest(bank):
    once = bank.change(not_before=minutes(10), not_after=minutes(60))
    often = bank.change(not_before=minutes(10), not_after=minutes(60), repeats=DAILY)
    digests = {asking.current_revision(one).digest for one in (once, often)}
    assert len(digests) == 2
    assert b'"repeats":null' in bytes(asking.current_revision(once).document)


def test_who_leaves_between_two_times_keeps_the_next_from_starting(bank):
    change = daily(bank, begins=-30, ends=60 * 24 - 60)  # the first time lasts until the second is near
    run_once(change)
    teams.leave(bank.teams["security"], bank.user("noor"), by=TEST)
    reconcile.reconcile()
    assert state(change) == C.WAITING
    bank.say(change, "ines")
    assert state(change) == C.SCHEDULED
    assert [run.state for run in runs(change)] == ["succeeded", "ready"]


@pytest.mark.parametrize(
    ("window", "repeats", "pointer"),
    [
        ((None, None), DAILY, "/not_before"),
        ((10, None), DAILY, "/not_before"),
        ((10, 60), Repeat("Moon/Sea", "FREQ=DAILY;COUNT=3"), "/repeats/zone"),
        ((10, 60), Repeat("UTC", "FREQ=DAILY"), "/repeats/rule"),
        ((10, 60), Repeat("UTC", "FREQ=SECONDLY;COUNT=3"), "/repeats/rule"),
        ((10, 60 * 30), DAILY, "/not_after"),  # it would start again before it has ended
        ((10, 60), Repeat("UTC", "FREQ=WEEKLY;COUNT=9"), "/repeats/rule"),  # the approval lasts a month
    ],
)
def test_what_cannot_come_back_is_refused_where_it_is_wrong(bank, window, repeats, pointer):
    begins, ends = (minutes(one) if one else None for one in window)
    with pytest.raises(Invalid) as refused:
        bank.change(not_before=begins, not_after=ends, repeats=repeats)
    assert refused.value.errors[0]["pointer"] == pointer
    assert not Change.objects.exists()


def test_the_form_takes_it_and_the_page_shows_each_time(bank):
    client = Client()
    client.force_login(bank.user("mara"))
    typed = {
        "service": "web-bank", "environment": "production", "inputs.version": "42", "reason": "Every night.",
        "not_before": f"{minutes(60):%Y-%m-%dT%H:%M}", "not_after": f"{minutes(120):%Y-%m-%dT%H:%M}",
        "repeat": "day", "until": f"{minutes(60) + timedelta(days=8):%Y-%m-%d}", "rule": "",
    }  # fmt: skip
    assert client.post("/workflows/deploy/new/", typed).status_code == 302
    change = Change.objects.get()
    page = client.get(f"/changes/{change.key}/").content.decode()
    assert "It comes back every day" in page
    assert page.count("to come") == 5
    assert "4 more after these." in page
    form = client.get(f"/changes/{change.key}/edit/").content.decode()
    assert '<option value="day" selected>' in form
    assert f'value="{typed["until"]}"' in form


def test_the_api_says_it_as_it_was_asked_and_an_edit_of_the_reason_keeps_it(bank):
    ends = minutes(120)
    change = bank.change(not_before=minutes(60), not_after=ends, repeats=DAILY)
    client = Client()
    client.force_login(bank.user("mara"))
    path = f"/api/v1/changes/{change.key}/"
    told = client.get(path)
    assert told.json()["repeats"] == {"zone": "Europe/Zurich", "rule": "FREQ=DAILY;COUNT=3"}
    assert told.json()["not_after"] == f"{ends:%Y-%m-%dT%H:%M:%SZ}"
    edited = client.patch(
        path, {"reason": "For another reason."}, content_type="application/json",
        headers={"If-Match": told.headers["ETag"]},
    )  # fmt: skip
    assert edited.status_code == 200, edited.content
    assert edited.json()["repeats"] == told.json()["repeats"]
    once = client.patch(
        path, {"repeats": None}, content_type="application/json", headers={"If-Match": edited.headers["ETag"]}
    )
    assert once.json()["repeats"] is None
