"""How a change comes back: a schedule that is signed with everything else, each time with a run of its own. Pure.

It must never know what has run: it names the times, and whoever makes runs asks it for the next.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from approvals.calendar.schedule import Occurrence, Schedule, faults
from approvals.calendar.wall import zones
from audit.ledger.record import timestamp
from audit.refusals import Invalid

POINTERS = {
    "zone": "/repeats/zone",
    "starts": "/not_before",
    "ends": "/not_after",
    "recurrence": "/repeats/rule",
}


class Repeat(NamedTuple):
    """What a requester says: the zone of the clock on the wall, and the rule, as RRULE, by which it comes back."""

    zone: str
    rule: str


class Window(NamedTuple):
    """When a change may start: between two times, or each time that it comes back."""

    not_before: datetime | None = None
    not_after: datetime | None = None
    repeats: Schedule | None = None


def window(not_before: datetime | None, not_after: datetime | None, repeat: Repeat | None) -> Window:
    """What was asked for; of something that comes back, from the first start to the end of the last time."""
    if repeat is None:
        return Window(not_before, not_after)
    found = schedule(repeat, not_before, not_after)
    return Window(found.occurrences[0].start, found.occurrences[-1].end, found)


def said(window: Window) -> tuple[datetime | None, datetime | None, Repeat | None]:
    """The way back, as a requester would say it."""
    if window.repeats is None:
        return window.not_before, window.not_after, None
    first = window.repeats.occurrences[0]
    return first.start, first.end, Repeat(window.repeats.zone, window.repeats.rule)


def schedule(repeat: Repeat, begins: datetime | None, ends: datetime | None) -> Schedule:
    """From the first time to start and the end of that time; Invalid with a pointer for each fault."""
    if begins is None or ends is None:
        detail = "Say between which two times it starts first: each later time lasts as long."
        raise Invalid(f"Nothing was sent. {detail}", errors=[{"pointer": "/not_before", "detail": detail}])
    if repeat.zone not in zones():
        detail = f"There is no time zone {repeat.zone!r}; write one like Europe/Zurich."
        raise Invalid(f"Nothing was sent. {detail}", errors=[{"pointer": "/repeats/zone", "detail": detail}])
    found = Schedule(
        repeat.zone, on_the_wall(begins, repeat.zone), on_the_wall(ends, repeat.zone), repeat.rule
    )
    errors = [{"pointer": POINTERS.get(name, "/repeats"), "detail": said} for name, said in faults(found)]
    if errors:
        raise Invalid(f"Nothing was sent. {errors[0]['detail']}", errors=errors)
    return found


def on_the_wall(moment: datetime, zone: str) -> datetime:
    """What a clock in this zone reads then."""
    return moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def told(repeats: Schedule | None) -> dict[str, str] | None:
    """As a document says it."""
    if repeats is None:
        return None
    return {
        "zone": repeats.zone,
        "start": repeats.start.isoformat(),
        "end": repeats.end.isoformat(),
        "rule": repeats.rule,
    }


def read(document: Mapping[str, Any]) -> Schedule | None:
    """The way back."""
    said = document.get("repeats")
    if not said:
        return None
    start, end = (datetime.fromisoformat(said[name]) for name in ("start", "end"))
    return Schedule(said["zone"], start, end, said["rule"])


def fact(repeats: Schedule | None) -> dict[str, Any] | None:
    """What policy is told."""
    if repeats is None:
        return None
    times = repeats.occurrences
    return {
        "zone": repeats.zone,
        "rule": repeats.rule,
        "times": len(times),
        "until": timestamp(times[-1].end),
    }


def following(repeats: Schedule, *, after: datetime | None, now: datetime) -> Occurrence | None:
    """The next time behind `after` whose end has not passed; None when it was the last."""
    later = (one for one in repeats.occurrences if one.end > now and (after is None or one.start > after))
    return next(later, None)


def at(repeats: Schedule, moment: datetime) -> Occurrence | None:
    """The time that begins at this moment."""
    return next((one for one in repeats.occurrences if one.start == moment), None)
