"""When something holds: a first time in a zone, how it comes back, and the days on which it does not. Pure.

Always bounded, so that every occurrence can be named. It must never judge by anything but the moment it is given.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from approvals.calendar import rule as rules
from approvals.calendar import wall
from approvals.calendar.rule import BadRule

MAX_LENGTH = timedelta(days=366)  # of one occurrence
MAX_SPAN = timedelta(days=5 * 366)  # from the first start to the last: no zone's rules are known for longer
MAX_EXCEPTIONS = 100
YEARS = range(2000, 2101)  # in which something may start


class Occurrence(NamedTuple):
    """One time it holds: from `start`, up to `end` but not including it."""

    start: datetime
    end: datetime
    day: date  # on which it starts in its own zone: what an exception names


@dataclass(frozen=True)
class Schedule:
    """Both times as a clock on the wall of `zone` reads them."""

    zone: str
    start: datetime
    end: datetime
    rule: str = ""  # empty: once
    exceptions: frozenset[date] = frozenset()

    @property
    def occurrences(self) -> tuple[Occurrence, ...]:
        """Every time it holds, in order; none overlaps the next but by a change of clocks."""
        return _expanded(self)

    def between(self, since: datetime, until: datetime) -> list[Occurrence]:
        """Those that hold at some instant from `since` up to `until`."""
        return [one for one in self.occurrences if one.start < until and one.end > since]

    def holds(self, at: datetime) -> Occurrence | None:
        """The occurrence that holds at this moment."""
        begun = bisect_right(self.occurrences, at, key=lambda one: one.start)
        near = self.occurrences[max(0, begun - 2) : begun]  # two may meet where clocks change
        return next((one for one in near if at < one.end), None)

    def coming(self, at: datetime) -> Occurrence | None:
        """The occurrence that holds at this moment, or else the next one."""
        return next((one for one in self.occurrences if one.end > at), None)

    def next_change(self, at: datetime) -> datetime | None:
        """The next moment at which it begins or ceases to hold; None when nothing changes any more."""
        held = self.holds(at)
        if held is None:
            return next((one.start for one in self.occurrences if one.start > at), None)
        while follows := self.holds(held.end):
            held = follows
        return held.end

    def covers(self, other: "Schedule", *, since: datetime) -> bool:
        """Whether it holds at every instant, from `since` on, at which the other one does."""
        return all(self._covers(max(one.start, since), one.end) for one in other.occurrences)

    def _covers(self, at: datetime, until: datetime) -> bool:
        while at < until:
            held = self.holds(at)
            if held is None:
                return False
            at = held.end
        return True


def faults(schedule: Schedule) -> Iterator[tuple[str, str]]:
    """What is wrong with it: the field and a sentence. Nothing when it can be used."""
    if schedule.zone not in wall.zones():
        yield "zone", f"There is no time zone {schedule.zone!r}; write one like Europe/Zurich."
    elif schedule.start.year not in YEARS:
        yield "starts", f"It starts between {YEARS[0]} and {YEARS[-1]}."
    elif schedule.end <= schedule.start:
        yield "ends", "It ends after it starts."
    elif schedule.end - schedule.start > MAX_LENGTH:
        yield "ends", f"Once lasts at most {MAX_LENGTH.days} days."
    elif len(schedule.exceptions) > MAX_EXCEPTIONS:
        yield "exceptions", f"At most {MAX_EXCEPTIONS} days can be left out."
    else:
        yield from _faults_of_rule(schedule)


def _faults_of_rule(schedule: Schedule) -> Iterator[tuple[str, str]]:
    try:
        starts = _starts(schedule)
    except BadRule as bad:
        yield "recurrence", str(bad)
        return
    length = schedule.end - schedule.start
    days = {one.date() for one in starts}
    if not starts or starts[0] != schedule.start:
        yield "starts", "The first start must be one that the recurrence names."
    elif any(later - one < length for one, later in pairwise(starts)):
        yield "ends", "It would start again before it has ended."
    elif unknown := sorted(schedule.exceptions - days):
        yield "exceptions", f"It does not start on {unknown[0]:%d %B %Y}, so that day cannot be left out."
    elif not schedule.occurrences:
        yield (
            "starts",
            "It never happens: each day is left out, or the hour is one that the change of clocks skips.",
        )


def _starts(schedule: Schedule) -> list[datetime]:
    """As the wall's clock reads them; BadRule when they go on for too long."""
    if not schedule.rule:
        return [schedule.start]
    latest, starts = schedule.start + MAX_SPAN, []
    for one in rules.read(schedule.rule).starts(schedule.start):
        if one > latest:
            raise BadRule(f"It comes back for at most {MAX_SPAN.days // 366} years; plan it again then.")
        starts.append(one)
    return starts


@lru_cache(maxsize=512)
def _expanded(schedule: Schedule) -> tuple[Occurrence, ...]:
    length = schedule.end - schedule.start
    found = (
        Occurrence(wall.begin(start, schedule.zone), wall.end(start + length, schedule.zone), start.date())
        for start in _starts(schedule)
        if start.date() not in schedule.exceptions
    )
    return tuple(one for one in found if one.start < one.end)
