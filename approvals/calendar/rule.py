"""How something comes back: the part of RFC 5545's RRULE that people can read, always with an end. Pure.

It must never take a rule that could run for ever, or one that its reader would have to calculate.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time

from dateutil.rrule import rrulestr

FREQUENCIES = {"DAILY": "day", "WEEKLY": "week", "MONTHLY": "month", "YEARLY": "year"}
PARTS = ("FREQ", "INTERVAL", "BYDAY", "BYMONTHDAY", "COUNT", "UNTIL")
LAST_DAY = "UNTIL is the last day on which it may start: 20271231."
MAX_INTERVAL = 100
MAX_COUNT = 1000
DAY = re.compile(r"(?:[+-]?[1-5])?(?:MO|TU|WE|TH|FR|SA|SU)")
MONTH_DAY = re.compile(r"-?(?:[1-9]|[12]\d|3[01])")


class BadRule(ValueError):
    """Not a rule that is read here; the sentence says why."""


@dataclass(frozen=True)
class Rule:
    """A rule, read and checked."""

    frequency: str
    interval: int = 1
    days: tuple[str, ...] = ()  # MO, 1FR, -1SU
    month_days: tuple[int, ...] = ()
    count: int | None = None
    until: date | None = None  # the last day on which it may start, in its own zone

    def __str__(self) -> str:
        """As RRULE, in one spelling."""
        given = {
            "FREQ": self.frequency,
            "INTERVAL": str(self.interval) if self.interval > 1 else "",
            "BYDAY": ",".join(self.days),
            "BYMONTHDAY": ",".join(map(str, self.month_days)),
            "COUNT": str(self.count or ""),
            "UNTIL": f"{self.until:%Y%m%d}" if self.until else "",
        }
        return ";".join(f"{name}={value}" for name, value in given.items() if value)

    def starts(self, first: datetime) -> Iterator[datetime]:
        """Every start, beginning at `first`, as the wall's clock reads it."""
        last = datetime.combine(self.until, time.max) if self.until else None
        text = str(self).partition(";UNTIL=")[0] + (f";UNTIL={last:%Y%m%dT%H%M%S}" if last else "")
        yield from rrulestr(text, dtstart=first)


def read(text: str) -> Rule:
    """The rule in this text; BadRule when it says more, or less, than is read here."""
    pairs = [part.partition("=") for part in text.strip().upper().removeprefix("RRULE:").split(";")]
    given = {name: value for name, _, value in pairs}
    if unknown := sorted(set(given) - set(PARTS)):
        raise BadRule(f"{unknown[0] or 'This'} is not read here. Say it with {', '.join(PARTS)}.")
    if len(given) != len(pairs):
        raise BadRule("Each part may stand once.")
    if given.get("FREQ") not in FREQUENCIES:
        raise BadRule(f"FREQ is one of {', '.join(FREQUENCIES)}.")
    if ("COUNT" in given) == ("UNTIL" in given):
        raise BadRule("Say when it ends: either COUNT or UNTIL.")
    return Rule(
        frequency=given["FREQ"],
        interval=_number(given, "INTERVAL", MAX_INTERVAL) or 1,
        days=_days(given),
        month_days=_month_days(given),
        count=_number(given, "COUNT", MAX_COUNT),
        until=_until(given),
    )


def _number(given: dict[str, str], name: str, limit: int) -> int | None:
    if name not in given:
        return None
    if not re.fullmatch(r"[0-9]{1,4}", given[name]) or not 1 <= int(given[name]) <= limit:
        raise BadRule(f"{name} is a number from 1 to {limit}.")
    return int(given[name])


def _days(given: dict[str, str]) -> tuple[str, ...]:
    if "BYDAY" not in given:
        return ()
    days = tuple(given["BYDAY"].split(","))
    if not all(DAY.fullmatch(one) for one in days):
        raise BadRule(
            "BYDAY names days: MO,TU,WE,TH,FR,SA,SU; 1MO is the first Monday, -1FR the last Friday."
        )
    if given["FREQ"] not in {"WEEKLY", "MONTHLY"} or "BYMONTHDAY" in given:
        raise BadRule("BYDAY goes with WEEKLY or MONTHLY, and without BYMONTHDAY.")
    if any((len(one) > 2) != (given["FREQ"] == "MONTHLY") for one in days):
        raise BadRule("Of a week it names days (FR), of a month which of them (1FR, -1FR).")
    return tuple(one.removeprefix("+") for one in days)


def _month_days(given: dict[str, str]) -> tuple[int, ...]:
    if "BYMONTHDAY" not in given:
        return ()
    days = given["BYMONTHDAY"].split(",")
    if given["FREQ"] != "MONTHLY" or not all(MONTH_DAY.fullmatch(one) for one in days):
        raise BadRule("BYMONTHDAY goes with MONTHLY and names days of it: 1 to 31, or -1 for the last.")
    return tuple(int(one) for one in days)


def _until(given: dict[str, str]) -> date | None:
    if "UNTIL" not in given:
        return None
    if not re.fullmatch(r"[0-9]{8}", given["UNTIL"]):
        raise BadRule(LAST_DAY)
    try:
        return date.fromisoformat(given["UNTIL"])
    except ValueError as error:
        raise BadRule(LAST_DAY) from error
