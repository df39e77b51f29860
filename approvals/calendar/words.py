"""A schedule as people say it: "every Friday 16:00 to Monday 06:00, Europe/Zurich". Pure."""

from datetime import date, datetime

from approvals.calendar import rule as rules
from approvals.calendar.rule import FREQUENCIES, Rule
from approvals.calendar.schedule import Schedule

WEEKDAYS = {
    "MO": "Monday", "TU": "Tuesday", "WE": "Wednesday", "TH": "Thursday", "FR": "Friday", "SA": "Saturday",
    "SU": "Sunday",
}  # fmt: skip
WORKDAYS = ("MO", "TU", "WE", "TH", "FR")
ORDINALS = {1: "first", 2: "second", 3: "third", 4: "fourth", 5: "fifth", -1: "last", -2: "last but one"}


def words(schedule: Schedule) -> str:
    """The whole of it in one line, without a full stop."""
    if not schedule.rule:
        return f"{_moment(schedule.start)} to {_moment(schedule.end)}, {schedule.zone}"
    rule = rules.read(schedule.rule)
    said = (
        f"{_every(rule, schedule.start)} {_time(schedule.start)} to {_until(schedule, rule)}, {schedule.zone}"
    )
    said += f", {rule.count} times" if rule.count else f", until {_day(rule.until)}" if rule.until else ""
    if schedule.exceptions:
        said += ", not on " + _list([_day(one) for one in sorted(schedule.exceptions)])
    return said


def _every(rule: Rule, start: datetime) -> str:
    """Which days it starts on."""
    unit = FREQUENCIES[rule.frequency]
    often = f"every {unit}" if rule.interval == 1 else f"every {rule.interval} {unit}s"
    match rule.frequency:
        case "DAILY":
            return often
        case "WEEKLY":
            named = _list([_weekday(one) for one in rule.days]) if rule.days else f"{start:%A}"
            if rule.days == WORKDAYS:
                named = "Monday to Friday"
            return f"every {named}" if rule.interval == 1 else f"{often} on {named}"
        case "MONTHLY":
            days = [_weekday(one) for one in rule.days] or [_month_day(one) for one in rule.month_days]
            return f"{often} on " + _list(days or [_month_day(start.day)])
    return f"{often} on {start.day} {start:%B}"


def _until(schedule: Schedule, rule: Rule) -> str:
    """When one occurrence ends, seen from its start."""
    days = (schedule.end.date() - schedule.start.date()).days
    if days < 2:
        return _time(schedule.end) + (" the next day" if days else "")
    if days < 7 and rule.frequency == "WEEKLY" and len(rule.days) < 2:
        return f"{schedule.end:%A} {_time(schedule.end)}"
    return f"{_time(schedule.end)}, {days} days later"


def _weekday(day: str) -> str:
    ordinal, name = day[:-2], WEEKDAYS[day[-2:]]
    if not ordinal:
        return name
    return f"the {ORDINALS.get(int(ordinal), ordinal)} {name}"


def _month_day(day: int) -> str:
    if day > 0:
        return f"day {day}"
    return "the last day" if day == -1 else f"the day {-day} from the end"


def _moment(at: datetime) -> str:
    return f"{_day(at)} {_time(at)}"


def _day(day: date) -> str:
    return f"{day.day} {day:%B %Y}"


def _time(at: datetime) -> str:
    return f"{at:%H:%M}"


def _list(items: list[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
