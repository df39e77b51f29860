"""Whoever asked for what a freeze or a window holds up is told, whatever door it came by."""

from datetime import timedelta

import pytest
from django.utils import timezone

from approvals import freezes, plans, windows
from approvals.models import Freeze, Window
from approvals.plans import Known
from audit.models import Entry
from orchestration import calendar, notices
from orchestration.definitions.repeats import Repeat
from orchestration.models import Comment
from tests.browser import Browser
from tests.orchestration.test_calendar_pages import DAY, HOUR, form, make, plan, signed_in
from tests.orchestration.test_governed import C, agree, ask, bank, node, run
from tests.orchestration.test_governed_times import times

pytestmark = pytest.mark.django_db(transaction=True)
__all__ = ["bank", "node"]
KNOWN = Known(["production", "staging"])


def told(bank, who="mara"):
    return [(one.kind, one.change) for one in notices.of(bank.user(who))]


def said(change):
    return [one.text for one in Comment.objects.filter(change=change).order_by("id")]


def nightly(bank, **more):
    """At this minute, on each of five days from tomorrow."""
    begins = timezone.now().replace(second=0, microsecond=0) + DAY
    return bank.approved(
        not_before=begins, not_after=begins + HOUR, repeats=Repeat("UTC", "FREQ=DAILY;COUNT=5"), **more
    )


@pytest.mark.parametrize(
    ("days", "waits"), [((-1, 0.5), False), ((2.9, 3.1), True), ((2.1, 2.9), False), ((7, 8), False)]
)
def test_of_what_comes_back_each_time_is_looked_at(bank, days, waits):
    change = nightly(bank)
    first, last = (DAY * one for one in days)
    assert (calendar.affected(Freeze, plan(starts=first, ends=last)) == [change]) is waits
    make(bank, starts=first, ends=last)
    assert (("frozen", change) in told(bank)) is waits


def test_a_request_that_waits_for_approval_and_names_its_time_is_listed_too(bank):
    begins = timezone.now() + 5 * HOUR
    timed, untimed = bank.change(not_before=begins), bank.change()
    assert calendar.affected(Freeze, plan(starts=4 * HOUR, ends=6 * HOUR)) == [timed]
    assert calendar.affected(Freeze, plan()) == [], "nobody knows when those will be agreed to"
    make(bank, starts=4 * HOUR, ends=6 * HOUR)
    assert told(bank) == [("frozen", timed)]
    assert untimed.state == C.WAITING


def test_an_emergency_is_not_held_up_and_so_not_listed(bank):
    from orchestration.definitions.digest import Emergency

    bank.change(emergency=Emergency("INC-7"), not_before=timezone.now() + HOUR)
    assert calendar.affected(Freeze, plan(starts=timedelta(), ends=2 * HOUR)) == []


def test_a_freeze_made_over_the_api_tells_whoever_it_holds_up(bank):
    change = bank.approved()
    now = timezone.now()
    body = {
        "name": "Year end", "reason": "Books close.", "environments": ["production"],
        "starts_at": (now - HOUR).isoformat(), "ends_at": (now + HOUR).isoformat(),
    }  # fmt: skip
    assert Browser(bank, "sam").post("freezes/", body).status_code == 201
    assert "The freeze Year end holds here" in said(change)[0]
    assert Entry.objects.filter(kind="change.commented", subject=change.key).exists()
    assert told(bank) == [("frozen", change)]


def test_a_window_over_the_api_does_too_and_the_inbox_says_so(bank):
    change = bank.approved(not_before=timezone.now() + 9 * HOUR)
    now = timezone.now()
    body = {
        "name": "Tonight", "reason": "Releases.", "environments": ["production"],
        "starts_at": (now - HOUR).isoformat(), "ends_at": (now + HOUR).isoformat(),
    }  # fmt: skip
    assert Browser(bank, "sam").post("windows/", body).status_code == 201
    assert "only inside the window Tonight" in said(change)[0]
    assert told(bank) == [("shut", change)]
    page = signed_in(Browser(bank, "mara").client, bank, "mara").get("/inbox/").content.decode()
    assert "no window is open for it when it is to start" in page


def test_a_freeze_that_an_act_moves_onto_a_change_tells_its_requester(bank, node):
    change = bank.approved(not_before=timezone.now() + 4 * HOUR)
    held = make(bank)
    assert said(change) == []
    at = timezone.now().replace(tzinfo=None)
    moved = times(
        environments="production",
        starts_at=f"{at + 3 * HOUR:%Y-%m-%dT%H:%M}",
        ends_at=f"{at + 6 * HOUR:%Y-%m-%dT%H:%M}",
    )
    act = ask(bank, "freeze-edit", by="jonas", freeze=held.key, **moved)
    agree(act, bank, "sam", "noor")
    assert run(act, node).state == C.SUCCEEDED
    assert "The freeze Year end holds here" in said(change)[0]
    entry = Entry.objects.get(kind="change.commented", subject=change.key)
    assert entry.actor == f"change:{act.key}"
    assert told(bank) == [("frozen", change)]


def test_one_window_of_two_that_is_lifted_holds_up_what_came_in_by_it(bank, node):
    now = timezone.now()
    first = windows.plan(plan(starts=-HOUR, ends=HOUR), known=KNOWN, by=bank.people["sam"])
    given = times(
        name="Tonight", reason="A release.", environments="production",
        starts_at=f"{now + 4 * HOUR:%Y-%m-%dT%H:%M}", ends_at=f"{now + 6 * HOUR:%Y-%m-%dT%H:%M}",
    )  # fmt: skip
    act = ask(bank, "window-create", **given)
    agree(act, bank, "sam", "noor")
    run(act, node)
    change = bank.approved(not_before=now + 5 * HOUR)
    assert told(bank) == []
    tonight = Window.objects.exclude(pk=first.pk).get()
    act = ask(bank, "window-lift", window=tonight.key)
    agree(act, bank, "sam", "noor")
    assert run(act, node).state == C.SUCCEEDED
    assert "was lifted, and no other is open" in said(change)[0]
    assert told(bank) == [("shut", change)]


def test_a_window_made_shorter_beside_another_that_is_open_holds_nothing_up(bank, node):
    first = windows.plan(plan(starts=-HOUR, ends=9 * HOUR), known=KNOWN, by=bank.people["sam"])
    change = bank.approved(not_before=timezone.now() + 5 * HOUR)
    shorter = plan(starts=-HOUR, ends=2 * HOUR)
    assert calendar.affected(Window, shorter, instead_of=first) == [change]
    act = ask(bank, "window-create", **times(name="More", reason="x", environments="production"))
    agree(act, bank, "sam", "noor")
    run(act, node)
    more = Window.objects.exclude(pk=first.pk).get()
    wide = plan(starts=-HOUR, ends=8 * HOUR)
    assert calendar.affected(Window, wide, instead_of=more) == []


def test_the_form_lists_what_comes_back_before_it_saves(bank, client):
    change = nightly(bank)
    at = timezone.now().replace(tzinfo=None)
    given = form(starts_at=f"{at + 2.9 * DAY:%Y-%m-%dT%H:%M}", ends_at=f"{at + 3.1 * DAY:%Y-%m-%dT%H:%M}")
    page = signed_in(client, bank, "sam").post("/calendar/new/", given).content.decode()
    assert "1 change would wait" in page
    assert change.key in page
    assert not Freeze.objects.exists()


def test_what_is_told_is_what_the_gate_judges(bank):
    """At the very edges: the first instant is held, the instant of the end is not."""
    held = freezes.plan(plan(starts=HOUR, ends=2 * HOUR), known=KNOWN, by=bank.people["sam"])
    begin, end = held.schedule.occurrences[0][:2]
    inside, outside = bank.approved(not_before=begin), bank.approved(not_before=end)
    assert calendar.affected(Freeze, plans.Plan(
        name="x", reason="x", schedule=held.schedule, environments=("production",)
    )) == [inside]  # fmt: skip
    assert outside.state == C.SCHEDULED
