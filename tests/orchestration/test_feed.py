"""The calendar feed: what the gate would say, for one person, at an address that opens nothing else."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone
from icalendar import Calendar

from accounts import permissions, teams
from accounts.models import Team
from approvals import feeds, freezes, periods, windows
from approvals.calendar.schedule import Schedule
from approvals.models import Feed
from approvals.plans import Known, Plan
from audit.models import Entry
from orchestration.models import Environment
from tests.factories import TEST, Bank

pytestmark = pytest.mark.django_db(transaction=True)
KNOWN = Known(["production", "staging", "test"])


@pytest.fixture
def bank():
    return Bank()


def plan(name, *environments):
    start = timezone.now().replace(tzinfo=None, second=0, microsecond=0)
    schedule = Schedule("Europe/Zurich", start, start + timedelta(hours=62), "FREQ=WEEKLY;COUNT=60")
    return Plan(name=name, reason="Nobody is here.", schedule=schedule, environments=environments)


def read(client, value):
    reply = client.get("/calendar.ics", {"token": value})
    assert reply.status_code == 200, reply.content
    assert reply.headers["Content-Type"].startswith("text/calendar")
    return [(str(one["SUMMARY"]), one.decoded("DTSTART"), one.decoded("DTEND")) for one in events(reply)]


def events(reply):
    return Calendar.from_ical(reply.content).walk("VEVENT")


def test_each_time_is_told_exactly_as_the_gate_judges_it(bank, client):
    held = freezes.plan(plan("Weekend", "production"), known=KNOWN, by=bank.people["sam"])
    opened = windows.plan(plan("Release", "staging"), known=KNOWN, by=bank.people["sam"])
    value = feeds.create(by=bank.people["sam"]).value
    until = timezone.now() + timedelta(days=390)
    expected = [
        ("Freeze: Weekend", one.start, one.end) for one in held.schedule.occurrences if one.start < until
    ]
    expected += [
        ("Window: Release", one.start, one.end) for one in opened.schedule.occurrences if one.start < until
    ]
    assert {one for one in read(client, value) if one[1] < until} == set(expected)
    assert len(expected) > 100
    uids = [str(one["UID"]) for one in events(client.get("/calendar.ics", {"token": value}))]
    assert len(uids) == len(set(uids))


def test_what_was_lifted_is_not_in_it(bank, client):
    held = freezes.plan(plan("Weekend", "production"), known=KNOWN, by=bank.people["sam"])
    value = feeds.create(by=bank.people["sam"]).value
    periods.lift(held, reason="Over.", by=TEST)
    assert read(client, value) == []


def test_a_feed_shows_what_its_person_may_see_and_no_more(bank, client):
    team = Team.objects.get(slug="elsewhere")
    permissions.grant(team, "view", Environment.objects.get(slug="staging"), by=TEST)
    for slug in ("production", "staging"):
        freezes.plan(plan(slug, slug), known=KNOWN, by=bank.people["sam"])
    value = feeds.create(by=bank.people["ravi"]).value
    assert {name for name, _, _ in read(client, value)} == {"Freeze: staging"}


@pytest.mark.parametrize("value", ["", "x", "cs_00000000_abc", "\ud800"])
def test_an_unknown_address_is_not_found(bank, client, value):
    assert client.get("/calendar.ics", {"token": value.encode("utf-8", "replace")}).status_code == 404


def test_a_new_address_ends_the_one_before_and_a_revoked_one_opens_nothing(bank, client):
    first, second = (feeds.create(by=bank.people["mara"]).value for _ in range(2))
    assert client.get("/calendar.ics", {"token": first}).status_code == 404
    read(client, second)
    feeds.revoke(by=bank.people["mara"])
    assert client.get("/calendar.ics", {"token": second}).status_code == 404
    kinds = Entry.objects.filter(kind__startswith="feed.").order_by("id").values_list("kind", flat=True)
    assert list(kinds) == ["feed.created", "feed.revoked", "feed.created", "feed.revoked"]


def test_the_address_of_somebody_who_left_opens_nothing(bank, client):
    value = feeds.create(by=bank.people["mara"]).value
    teams.deactivate(bank.user("mara"), by=TEST)
    assert client.get("/calendar.ics", {"token": value}).status_code == 404


def test_the_secret_opens_no_page_and_no_api(bank, client):
    value = feeds.create(by=bank.people["sam"]).value
    assert client.get("/calendar/", {"token": value}).status_code == 302
    for headers in ({}, {"Authorization": f"Bearer {value}"}):
        assert client.get("/api/v1/freezes/", {"token": value}, headers=headers).status_code == 401
    assert client.post("/calendar.ics", {"token": value}).status_code in {403, 404, 405}


def test_only_a_digest_of_the_secret_is_kept_and_it_is_shown_once(bank, client):
    client.force_login(bank.user("mara"), backend="django.contrib.auth.backends.ModelBackend")
    made = client.post("/calendar/feed/new/")
    page = made.content.decode()
    value = page.partition("/calendar.ics?token=")[2].partition("<")[0]
    assert read(client, value) == []
    assert made.headers["Cache-Control"] == "no-store"
    assert value not in client.get("/calendar/feed/").content.decode()
    assert value not in str(Feed.objects.values())
    assert not any(value.encode() in bytes(one.body) for one in Entry.objects.all())
    client.post("/calendar/feed/revoke/")
    assert "You have no address" in client.get("/calendar/feed/").content.decode()


def test_what_did_not_change_is_not_sent_again(bank, client):
    freezes.plan(plan("Weekend", "production"), known=KNOWN, by=bank.people["sam"])
    value = feeds.create(by=bank.people["sam"]).value
    first = client.get("/calendar.ics", {"token": value})
    again = client.get("/calendar.ics", {"token": value}, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_a_person_has_one_address(bank):
    made = feeds.create(by=bank.people["mara"]).feed
    with pytest.raises(IntegrityError), transaction.atomic():
        Feed.objects.create(user=made.user, sha256="other")
