"""What a clock on the wall reads, as instants: the one place that knows of days with 23 or 25 hours. Pure.

* A start that no clock ever reads (the hour that is left out in spring) is the first instant after the gap.
* A start that is read twice (the hour that comes again in autumn) is the first of the two.
* An end that is read twice, or never, is the later of what it could mean.

So a freeze holds whenever a clock on the wall reads a time inside it: it never gets shorter by a change of clocks.
(What lies wholly in the hour that is left out, and ends with it, does not happen on that day.)
"""

from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

SECOND = timedelta(seconds=1)
OTHER = {"localtime", "Factory"}  # in the database of zones, and no place


@cache
def zones() -> frozenset[str]:
    """The names of all time zones, as IANA spells them."""
    return frozenset(available_timezones() - OTHER)


def begin(wall: datetime, zone: str) -> datetime:
    """The instant at which something starts whose start is this reading of the wall's clock."""
    first, second = _readings(wall, zone)
    return first if _read(first, zone) == wall else _after_gap(second, first, wall, zone)


def end(wall: datetime, zone: str) -> datetime:
    """The instant at which something ends whose end is this reading."""
    return max(_readings(wall, zone))


def _readings(wall: datetime, zone: str) -> tuple[datetime, datetime]:
    """With the offset before a change of clocks, and with the one after it; mostly the same."""
    place = ZoneInfo(zone)
    first, second = (wall.replace(tzinfo=place, fold=fold).astimezone(UTC) for fold in (0, 1))
    return first, second


def _read(at: datetime, zone: str) -> datetime:
    return at.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0)


def _after_gap(before: datetime, after: datetime, wall: datetime, zone: str) -> datetime:
    """The change of clocks itself: the first instant at which the wall's clock reads more than `wall`."""
    before, after = before.replace(microsecond=0), after.replace(microsecond=0) + SECOND
    while after - before > SECOND:
        middle = before + (after - before) // 2
        middle = middle.replace(microsecond=0)
        before, after = (before, middle) if _read(middle, zone) > wall else (middle, after)
    return after
