"""The calendar as people see it, and the form that makes a freeze: who may, what would wait, who is told."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from accounts import permissions
from accounts.models import Team
from approvals import freezes, plans, windows
from approvals.calendar.schedule import Schedule
from approvals.models import Freeze, Window
from approvals.plans import Known, Plan
from audit.models import Entry
from orchestration import calendar, notices
from orchestration.models import Comment, Environment
from orchestration.pages import month
from tests.factories import TEST, Bank

pytestmark = pytest.mark.django_db(transaction=True)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def bank():
    return Bank()


@pytest.fixture
def admin(bank, client):
    return signed_in(client, bank, "sam")


def signed_in(client, bank, name):
    client.force_login(bank.user(name), backend="django.contrib.auth.backends.ModelBackend")
    return client


def plan(*environments, starts=-HOUR, ends=HOUR, **more):
    now = timezone.now()
    known = {"name": "Year end", "reason": "Books close.", "environments": environments or ("production",)}
    return Plan(**{**known, "schedule": plans.once(now + starts, now + ends), **more})


def form(**changed):
    at = timezone.now().replace(tzinfo=None)
    known = {
        "kind": "freeze", "name": "Year end", "reason": "Books close.", "environments": ["production"],
        "starts_at": f"{at - HOUR:%Y-%m-%dT%H:%M}", "ends_at": f"{at + HOUR:%Y-%m-%dT%H:%M}", "zone": "UTC",
        "repeat": "", "until": "", "exceptions": "", "rule": "",
    }  # fmt: skip
    return {**known, **changed}


def make(bank, *environments, **more):
    return freezes.plan(
        plan(*environments, **more), known=Known(["production", "staging", "test"]), by=bank.people["sam"]
    )


def test_the_inbox_tells_the_next_time_of_a_freeze_where_one_may_look(bank, client):
    begin = timezone.now().replace(tzinfo=None, hour=12, minute=0, second=0, microsecond=0) + DAY
    weekly = Schedule("UTC", begin, begin + HOUR, "FREQ=WEEKLY;COUNT=9")
    for name, where in (("Weekly close", "production"), ("Stocktaking", "vault")):
        made = plan(where, name=name, schedule=weekly)
        freezes.plan(made, known=Known(["production", "vault"]), by=bank.people["sam"])
    page = signed_in(client, bank, "mara").get("/inbox/").content.decode()
    assert "Weekly close" in page
    assert f"{begin:%-d %b} 12:00 to {begin:%-d %b} 13:00" in page
    assert "Stocktaking" not in page


def test_an_admin_plans_a_freeze_that_comes_back_and_sees_its_page(admin):
    until = date.today() + 30 * DAY  # noqa: DTZ011 - a day on the wall
    reply = admin.post("/calendar/new/", form(repeat="week", until=f"{until:%Y-%m-%d}", zone="Europe/Zurich"))
    made = Freeze.objects.get()
    assert reply.headers["Location"] == f"/calendar/{made.pk}/"
    assert made.rule == f"FREQ=WEEKLY;UNTIL={until:%Y%m%d}"
    page = admin.get(f"/calendar/{made.pk}/").content.decode()
    assert made.words in page
    assert "made the freeze" in page


def test_the_month_and_the_list_show_the_same(bank, admin):
    held = make(bank)
    for view in ("/calendar/", "/calendar/?view=list"):
        page = admin.get(view).content.decode()
        assert f'href="/calendar/{held.pk}/"' in page
        assert held.name in page


def test_without_any_the_calendar_says_what_that_means(admin):
    assert "Changes may start at any time" in admin.get("/calendar/?view=list").content.decode()
    assert (
        "No freeze and no window touches this month" in admin.get("/calendar/?month=2030-01").content.decode()
    )
    assert admin.get("/calendar/?month=nonsense").status_code == 200


def test_a_freeze_of_places_that_one_may_not_see_is_not_found(bank, client):
    secret, shown = make(bank, "test"), make(bank, "*", name="Everything")
    team = Team.objects.get(slug="elsewhere")
    permissions.grant(team, "view", Environment.objects.get(slug="staging"), by=TEST)
    ravi = signed_in(client, bank, "ravi")
    page = ravi.get("/calendar/?view=list").content.decode()
    assert (shown.name in page, f"/calendar/{secret.pk}/" in page) == (True, False)
    assert ravi.get(f"/calendar/{secret.pk}/").status_code == 404


@pytest.mark.parametrize("kind", ["freeze", "window"])
def test_d11_nobody_but_an_admin_plans_one(bank, client, kind):
    change = bank.approved()
    mara = signed_in(client, bank, "mara")
    reply = mara.post("/calendar/new/", form(kind=kind))
    assert (reply.status_code, change.title in reply.content.decode()) == (403, False)
    assert mara.get(f"/calendar/new/?kind={kind}").status_code == 403
    assert mara.post("/calendar/preview/", form(kind=kind)).status_code == 403
    assert not Freeze.objects.exists()
    assert not Window.objects.exists()
    assert Entry.objects.filter(kind="attempt.refused", subject=kind).exists()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"name": ""}, "Give the freeze a name"),
        ({"reason": ""}, "Write what the freeze is for"),
        ({"environments": []}, "Name at least one environment"),
        ({"environments": ["control-room"]}, "never frozen"),
        ({"ends_at": "2020-01-01T00:00"}, "It ends after it starts"),
        ({"starts_at": "soon"}, "as a clock on the wall"),
        ({"zone": "Mars/Base"}, "no time zone"),
        ({"repeat": "week"}, "either COUNT or UNTIL"),
        ({"repeat": "rule", "rule": "FREQ=HOURLY;COUNT=2"}, "FREQ is one of"),
        ({"repeat": "nonsense", "until": "2027-01-01"}, "FREQ is one of"),
        ({"exceptions": "Christmas"}, "Write each day like"),
        ({"kind": "weekend"}, "choose a freeze or a window"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_saved(admin, changed, said):
    reply = admin.post("/calendar/new/", form(**changed))
    assert reply.status_code == 422
    assert said in reply.content.decode()
    assert not Freeze.objects.exists()


def test_the_preview_says_it_in_words_and_stores_nothing(bank, admin):
    change = bank.approved()
    page = admin.post("/calendar/preview/", form(repeat="day", until="2099-01-01")).content.decode()
    assert "Not ready to save" in page  # five years are the most
    page = admin.post("/calendar/preview/", form()).content.decode()
    assert "The next 1 of 1" in page
    assert f"{change.key} would wait" in page
    assert "Mara is told" in page
    assert not Freeze.objects.exists()


def test_what_would_wait_is_listed_before_anything_is_saved_and_whoever_asked_is_told(bank, admin):
    change = bank.approved()
    asked = admin.post("/calendar/new/", form())
    page = asked.content.decode()
    assert "1 change would wait" in page
    assert f'href="/changes/{change.key}/"' in page
    assert not Freeze.objects.exists()
    admin.post("/calendar/new/", form(seen=change.key))
    said = Comment.objects.get(change=change)
    assert "The freeze Year end holds here" in said.text
    assert Entry.objects.filter(kind="change.commented", subject=change.key).exists()
    (notice,) = [one for one in notices.of(bank.user("mara")) if one.kind == "frozen"]
    assert (notice.change, "Year end" in notice.text) == (change, True)
    change.refresh_from_db()
    assert change.state == "approved"


def test_one_more_change_since_the_list_was_seen_asks_again(bank, admin):
    first = bank.approved()
    bank.approved()
    assert "2 changes would wait" in admin.post("/calendar/new/", form(seen=first.key)).content.decode()
    assert not Freeze.objects.exists()


@pytest.mark.parametrize(
    ("given", "waits"),
    [
        ({}, True),
        ({"environments": ("staging",)}, False),
        ({"services": ("vault",)}, False),
        ({"services": ("web-bank",)}, True),
        ({"starts": HOUR, "ends": 2 * HOUR}, False),
    ],
)
def test_only_a_change_that_would_start_inside_is_held_up(bank, given, waits):
    bank.approved()
    assert bool(calendar.affected(Freeze, plan(*given.pop("environments", ()), **given))) is waits


def test_a_change_is_looked_at_when_it_is_to_start(bank):
    bank.approved(not_before=timezone.now() + 5 * HOUR)
    assert not calendar.affected(Freeze, plan())
    assert calendar.affected(Freeze, plan(starts=4 * HOUR, ends=6 * HOUR))
    assert calendar.affected(Window, plan())
    assert not calendar.affected(Window, plan(starts=4 * HOUR, ends=6 * HOUR))


def test_a_longer_freeze_is_saved_and_a_shorter_one_refused_with_its_act(bank, admin):
    held = make(bank)
    at = held.schedule
    texts = {"starts_at": f"{at.start - HOUR:%Y-%m-%dT%H:%M}", "ends_at": f"{at.end - HOUR:%Y-%m-%dT%H:%M}"}
    refused = admin.post(f"/calendar/{held.pk}/edit/", form(**texts))
    assert (refused.status_code, "freeze-edit" in refused.content.decode()) == (409, True)
    texts["ends_at"] = f"{at.end + HOUR:%Y-%m-%dT%H:%M}"
    assert admin.post(f"/calendar/{held.pk}/edit/", form(**texts)).status_code == 302
    held.refresh_from_db()
    assert held.version == 2


def test_the_form_of_an_edit_says_what_the_row_says(bank, admin):
    schedule = Schedule(
        "Europe/Zurich", datetime(2026, 12, 4, 16), datetime(2026, 12, 7, 6), "FREQ=WEEKLY;UNTIL=20270131",  # noqa: DTZ001
        frozenset({date(2026, 12, 25)}),
    )  # fmt: skip
    held = make(bank, "production", "staging", schedule=schedule)
    page = admin.get(f"/calendar/{held.pk}/edit/").content.decode()
    for said in (
        'value="2026-12-04T16:00"',
        'value="2027-01-31"',
        'value="2026-12-25"',
        '<option value="week" selected>',
    ):
        assert said in page
    windows.plan(plan("test", schedule=schedule), known=Known(["test"]), by=bank.people["sam"])
    assert admin.get(f"/calendar/{Window.objects.get().pk}/edit/").status_code == 200


def test_a_bar_stands_on_each_day_that_is_touched_in_the_zone_of_the_page():
    zone = ZoneInfo("Europe/Zurich")
    weekend = Schedule("UTC", datetime(2026, 11, 27, 15), datetime(2026, 11, 29, 23))  # noqa: DTZ001 - a wall's clock
    held = [("row", "freeze", weekend.occurrences[0])]
    weeks = month.weeks(date(2026, 11, 1), today=date(2026, 11, 28), held=held, zone=zone)
    days = {one.day: one for week in weeks for one in week}
    said = {day.day: [bar["said"] for bar in one.bars] for day, one in days.items() if one.bars}
    assert said == {27: ["from 16:00"], 28: ["all day"], 29: ["all day"]}
    assert [one.day.day for one in days.values() if one.today] == [28]
    assert month.bounds(date(2026, 11, 1), zone)[0] == datetime(2026, 10, 25, 23, tzinfo=UTC)


def test_the_month_costs_the_same_however_often_something_comes_back(
    bank, admin, django_assert_max_num_queries
):
    make(bank)
    admin.get("/calendar/")
    with django_assert_max_num_queries(22):
        admin.get("/calendar/")
