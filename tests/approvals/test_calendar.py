"""What a schedule means in instants, in every zone, on the days when clocks change too."""

# ruff: noqa: DTZ001  what a clock on the wall reads has no offset

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from approvals.calendar import rule, wall
from approvals.calendar.rule import BadRule
from approvals.calendar.schedule import Schedule, faults
from approvals.calendar.words import words

ZURICH = "Europe/Zurich"
YEARS = (datetime(2026, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC))
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def local(at, zone):
    return at.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0)


def transitions(zone):
    """The changes of clocks of two years, each as the last second before it."""
    place, (day, last) = ZoneInfo(zone), YEARS
    while day < last:
        before, after = day, day + DAY
        if before.astimezone(place).utcoffset() != after.astimezone(place).utcoffset():
            while after - before > timedelta(seconds=1):
                middle = before + (after - before) // 2
                same = middle.astimezone(place).utcoffset() == before.astimezone(place).utcoffset()
                before, after = (middle, after) if same else (before, middle)
            yield before.replace(microsecond=0)
        day += DAY


CHANGES = [(zone, at) for zone in sorted(wall.zones()) for at in transitions(zone)]
REASONABLE = [
    (zone, at) for zone, at in CHANGES if zone.partition("/")[0] in {"Europe", "America", "Australia"}
]


def test_clocks_change_in_many_zones():
    assert len(wall.zones()) > 400
    assert len(CHANGES) > 400


def around(zone, at):
    """Schedules whose start, end or both lie within two hours of a change of clocks, on the wall."""
    base = local(at, zone).replace(minute=0, second=0)
    for start in (-90, -30, 0, 15, 30, 60, 75, 90, 120):
        for length in (1, 30, 60, 90, 24 * 60):
            begins = base + start * MINUTE
            yield Schedule(zone, begins, begins + length * MINUTE)


def test_d09_whatever_the_wall_reads_inside_a_freeze_is_inside_it_in_every_zone():
    """A freeze never gets shorter: each instant is compared with the wall's clock, minute by minute."""
    wrong = []
    for zone, at in CHANGES:
        instants = [at + step * 15 * MINUTE for step in range(-16, 24)]
        read = [(one, local(one, zone)) for one in instants]
        wrong += [
            (zone, schedule, one)
            for schedule in around(zone, at)
            for one, said in read
            if schedule.start <= said < schedule.end and schedule.holds(one) is None
        ]
    assert wrong == []


def test_d09_a_freeze_begins_and_ends_where_the_wall_says_so_or_at_the_change_itself():
    """Both edges of each: one microsecond before it does not hold; the last microsecond of it does."""
    tick = timedelta(microseconds=1)
    for zone, at in REASONABLE:
        for schedule in around(zone, at):
            if not schedule.occurrences:  # it lies wholly in the hour that no clock reads
                assert wall.begin(schedule.start, zone) == wall.end(schedule.end, zone)
                continue
            (held,) = schedule.occurrences
            assert schedule.holds(held.start - tick) is None
            assert schedule.holds(held.start) == held
            assert schedule.holds(held.end - tick) == held
            assert schedule.holds(held.end) is None
            assert local(held.start - tick, zone) < schedule.start
            assert local(held.start, zone) >= schedule.start
            assert local(held.end, zone) >= schedule.end


def test_the_hour_that_is_left_out_in_spring():
    gone = Schedule(ZURICH, datetime(2026, 3, 29, 2, 30), datetime(2026, 3, 29, 12))
    assert gone.occurrences[0].start == datetime(2026, 3, 29, 1, 0, tzinfo=UTC)  # 03:00, the first there is
    inside = Schedule(ZURICH, datetime(2026, 3, 29, 2, 15), datetime(2026, 3, 29, 2, 45))
    (held,) = inside.occurrences
    assert held.end - held.start == timedelta(minutes=45)


def test_the_hour_that_comes_twice_in_autumn():
    twice = Schedule(ZURICH, datetime(2026, 10, 25, 2, 15), datetime(2026, 10, 25, 2, 45))
    (held,) = twice.occurrences
    assert (held.start.hour, held.start.minute) == (0, 15)
    assert (held.end.hour, held.end.minute) == (1, 45)


def test_a_change_of_half_an_hour_and_one_of_a_whole_day():
    half = Schedule("Australia/Lord_Howe", datetime(2026, 10, 4, 2, 10), datetime(2026, 10, 4, 5))
    assert local(half.occurrences[0].start, half.zone) == datetime(2026, 10, 4, 2, 30)
    skipped = Schedule("Pacific/Apia", datetime(2011, 12, 30, 9), datetime(2011, 12, 31, 9))
    assert local(skipped.occurrences[0].start, skipped.zone) == datetime(2011, 12, 31)


WEEKENDS = Schedule(
    ZURICH, datetime(2026, 10, 16, 16), datetime(2026, 10, 19, 6), "FREQ=WEEKLY;BYDAY=FR;UNTIL=20261130",
    frozenset({date(2026, 11, 6)}),
)  # fmt: skip


def test_each_occurrence_keeps_its_local_hours_over_a_change_of_clocks():
    starts = [local(one.start, ZURICH) for one in WEEKENDS.occurrences]
    ends = [local(one.end, ZURICH) for one in WEEKENDS.occurrences]
    assert {(one.weekday(), one.hour) for one in starts} == {(4, 16)}
    assert {(one.weekday(), one.hour) for one in ends} == {(0, 6)}
    lengths = {one.day: one.end - one.start for one in WEEKENDS.occurrences}
    assert lengths[date(2026, 10, 23)] == lengths[date(2026, 10, 16)] + HOUR


def test_a_day_that_is_left_out_is_left_out_alone():
    days = [one.day.day for one in WEEKENDS.occurrences]
    assert days == [16, 23, 30, 13, 20, 27]


def test_the_next_change_is_the_end_when_it_holds_and_the_next_start_when_not():
    first, second = WEEKENDS.occurrences[:2]
    assert WEEKENDS.next_change(first.start) == first.end
    assert WEEKENDS.next_change(first.end) == second.start
    assert WEEKENDS.next_change(WEEKENDS.occurrences[-1].end) is None


def test_days_that_follow_one_another_without_a_break_end_together():
    whole = Schedule("UTC", datetime(2026, 1, 1), datetime(2026, 1, 2), "FREQ=DAILY;COUNT=3")
    assert whole.next_change(datetime(2026, 1, 1, 9, tzinfo=UTC)) == datetime(2026, 1, 4, tzinfo=UTC)


@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31)).map(lambda at: at.replace(second=0, microsecond=0)),
    st.timedeltas(timedelta(minutes=1), timedelta(days=20)),
    st.sampled_from(["", "FREQ=WEEKLY;INTERVAL=3;COUNT=9", "FREQ=YEARLY;COUNT=3", "FREQ=MONTHLY;COUNT=8"]),
    st.sampled_from([ZURICH, "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "UTC"]),
    st.datetimes(datetime(2026, 1, 1), datetime(2029, 12, 31)),
)  # fmt: skip
@settings(max_examples=300, deadline=None)
def test_holds_agrees_with_the_occurrences_and_with_the_changes_between_them(start, length, text, zone, at):
    schedule = Schedule(zone, start, start + length, text)
    if list(faults(schedule)):
        return
    at = at.replace(tzinfo=UTC)
    assert all(one.end <= two.start + 2 * HOUR for one, two in pairwise(schedule.occurrences))
    assert bool(schedule.holds(at)) == bool(schedule.between(at, at + timedelta(microseconds=1)))
    change = schedule.next_change(at)
    if change is not None:
        assert bool(schedule.holds(change)) != bool(schedule.holds(at))
        assert bool(schedule.holds(change - timedelta(microseconds=1))) == bool(schedule.holds(at))


def test_covering_is_by_instants_from_now_on():
    longer = Schedule(ZURICH, datetime(2026, 10, 16, 12), datetime(2026, 11, 30, 6))
    beginning = datetime(2026, 1, 1, tzinfo=UTC)
    assert longer.covers(WEEKENDS, since=beginning)
    assert not WEEKENDS.covers(longer, since=beginning)
    assert WEEKENDS.covers(longer, since=datetime(2026, 12, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("FREQ=WEEKLY;BYDAY=FR", "either COUNT or UNTIL"),
        ("FREQ=WEEKLY;COUNT=2;UNTIL=20270101", "either COUNT or UNTIL"),
        ("FREQ=SECONDLY;COUNT=2", "FREQ is one of"),
        ("FREQ=WEEKLY;COUNT=2;BYHOUR=3", "BYHOUR is not read"),
        ("FREQ=WEEKLY;COUNT=2;COUNT=3", "stand once"),
        ("FREQ=WEEKLY;COUNT=0", "from 1 to 1000"),
        ("FREQ=WEEKLY;COUNT=99999", "from 1 to 1000"),
        ("FREQ=WEEKLY;COUNT=2;INTERVAL=-1", "from 1 to 100"),
        ("FREQ=WEEKLY;COUNT=2;BYDAY=XX", "BYDAY names days"),
        ("FREQ=WEEKLY;COUNT=2;BYDAY=1FR", "Of a week it names days"),
        ("FREQ=MONTHLY;COUNT=2;BYDAY=FR", "of a month which of them"),
        ("FREQ=YEARLY;COUNT=2;BYDAY=FR", "WEEKLY or MONTHLY"),
        ("FREQ=MONTHLY;COUNT=2;BYMONTHDAY=32", "1 to 31"),
        ("FREQ=DAILY;UNTIL=20270101T000000Z", "last day on which"),
        ("FREQ=DAILY;UNTIL=20270231", "last day on which"),
        ("", "is not read"),
    ],
)  # fmt: skip
def test_a_rule_that_is_not_plain_or_has_no_end_is_refused(text, said):
    with pytest.raises(BadRule, match=said):
        rule.read(text)


def test_a_rule_is_kept_in_one_spelling():
    assert str(rule.read("rrule:until=20270101;byday=+1fr;freq=monthly;interval=1")) == (
        "FREQ=MONTHLY;BYDAY=1FR;UNTIL=20270101"
    )


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"zone": "Europe/Atlantis"}, "zone"),
        ({"end": datetime(2026, 10, 16, 16)}, "ends"),
        ({"end": datetime(2028, 10, 16, 16)}, "ends"),
        ({"end": datetime(2026, 10, 23, 17)}, "ends"),
        ({"start": datetime(1999, 1, 1)}, "starts"),
        ({"start": datetime(2026, 10, 15, 16)}, "starts"),
        ({"rule": "FREQ=WEEKLY"}, "recurrence"),
        ({"rule": "FREQ=WEEKLY;COUNT=1000"}, "recurrence"),
        ({"exceptions": frozenset({date(2026, 10, 17)})}, "exceptions"),
        ({"rule": "", "exceptions": frozenset({date(2026, 10, 16)})}, "starts"),
        (
            {"start": datetime(2026, 3, 29, 2), "end": datetime(2026, 3, 29, 3), "rule": "", "exceptions": frozenset()},
            "starts",
        ),
    ],
)  # fmt: skip
def test_a_schedule_that_nobody_could_mean_is_refused_with_its_field(changed, field):
    known = {"zone": ZURICH, "start": WEEKENDS.start, "end": WEEKENDS.end, "rule": WEEKENDS.rule}
    assert [name for name, _ in faults(Schedule(**{**known, **changed}))] == [field]
    assert list(faults(WEEKENDS)) == []


@pytest.mark.parametrize(
    ("text", "end", "said"),
    [
        ("", datetime(2026, 10, 19, 6), "16 October 2026 16:00 to 19 October 2026 06:00, Europe/Zurich"),
        ("FREQ=WEEKLY;COUNT=3", datetime(2026, 10, 19, 6),
         "every Friday 16:00 to Monday 06:00, Europe/Zurich, 3 times"),
        ("FREQ=WEEKLY;BYDAY=TU,FR;UNTIL=20271231", datetime(2026, 10, 16, 18),
         "every Tuesday and Friday 16:00 to 18:00, Europe/Zurich, until 31 December 2027"),
        ("FREQ=WEEKLY;INTERVAL=2;COUNT=3", datetime(2026, 10, 17, 6),
         "every 2 weeks on Friday 16:00 to 06:00 the next day, Europe/Zurich, 3 times"),
        ("FREQ=MONTHLY;BYDAY=-1FR;COUNT=3", datetime(2026, 10, 19, 6),
         "every month on the last Friday 16:00 to 06:00, 3 days later, Europe/Zurich, 3 times"),
        ("FREQ=MONTHLY;BYMONTHDAY=-1;COUNT=3", datetime(2026, 10, 16, 18),
         "every month on the last day 16:00 to 18:00, Europe/Zurich, 3 times"),
        ("FREQ=YEARLY;COUNT=3", datetime(2026, 10, 16, 18),
         "every year on 16 October 16:00 to 18:00, Europe/Zurich, 3 times"),
        ("FREQ=DAILY;COUNT=3", datetime(2026, 10, 16, 18), "every day 16:00 to 18:00, Europe/Zurich, 3 times"),
    ],
)  # fmt: skip
def test_a_schedule_is_said_in_words(text, end, said):
    assert words(Schedule(ZURICH, datetime(2026, 10, 16, 16), end, text)) == said


def test_the_words_name_the_days_that_are_left_out():
    assert words(WEEKENDS).endswith("until 30 November 2026, not on 6 November 2026")
