"""A month as weeks of days, each with what holds on it. Pure; places and times are those of the page's zone."""

from calendar import Calendar
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any

from approvals.calendar.schedule import Occurrence

TICK = timedelta(microseconds=1)
Held = tuple[Any, str, Occurrence]  # a row, freeze or window, and one time it holds


@dataclass
class Day:
    """One day, and what holds on it."""

    day: date
    inside: bool  # of the month
    today: bool
    bars: list[dict[str, Any]] = field(default_factory=list)


def bounds(first: date, zone: tzinfo) -> tuple[datetime, datetime]:
    """From the first instant that the page shows to the one after the last."""
    days = [one for week in Calendar().monthdatescalendar(first.year, first.month) for one in week]
    return _midnight(days[0], zone), _midnight(days[-1] + timedelta(days=1), zone)


def weeks(first: date, *, today: date, held: Iterable[Held], zone: tzinfo) -> list[list[Day]]:
    """Monday to Sunday; a bar on each day that an occurrence touches."""
    bars = _bars(held, zone)
    return [
        [Day(one, one.month == first.month, one == today, bars[one]) for one in week]
        for week in Calendar().monthdatescalendar(first.year, first.month)
    ]


def month(text: str, *, today: date) -> date:
    """The first day of `2026-12`; of this month when the text names none."""
    try:
        return date.fromisoformat(f"{text}-01").replace(day=1)
    except ValueError:
        return today.replace(day=1)


def turn(first: date, by: int) -> str:
    """The month before or after, as an address names it."""
    other = first + timedelta(days=31) if by > 0 else first - timedelta(days=1)
    return f"{other:%Y-%m}"


def _bars(held: Iterable[Held], zone: tzinfo) -> dict[date, list[dict[str, Any]]]:
    found: dict[date, list[dict[str, Any]]] = defaultdict(list)
    for row, kind, one in held:
        start, end = one.start.astimezone(zone), one.end.astimezone(zone)
        day, last = start.date(), (end - TICK).date()
        while day <= last:
            said = _said(start, end, day)
            found[day].append({"row": row, "kind": kind, "said": said, "begins": day == start.date()})
            day += timedelta(days=1)
    return found


def _said(start: datetime, end: datetime, day: date) -> str:
    """What of the day it takes."""
    begins = day == start.date() and start.time() != time.min
    ends = day == end.date() and end.time() != time.min
    if begins and ends:
        return f"{start:%H:%M} to {end:%H:%M}"
    return f"from {start:%H:%M}" if begins else f"until {end:%H:%M}" if ends else "all day"


def _midnight(day: date, zone: tzinfo) -> datetime:
    return datetime.combine(day, time.min, zone).astimezone(UTC)
