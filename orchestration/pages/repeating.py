"""What the form of a freeze or a window says about coming back, as the texts of a plan, and the way back. Pure."""

from collections.abc import Mapping
from typing import Any

from approvals.calendar import rule
from approvals.models import Period

# what the form offers -> the rule without its end
REPEATS: dict[str, tuple[str, str]] = {
    "": ("Once", ""),
    "day": ("Every day", "FREQ=DAILY"),
    "workday": ("Monday to Friday", "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR"),
    "week": ("Every week on this day", "FREQ=WEEKLY"),
    "month": ("Every month on this day", "FREQ=MONTHLY"),
    "last-day": ("Every month on its last day", "FREQ=MONTHLY;BYMONTHDAY=-1"),
    "year": ("Every year", "FREQ=YEARLY"),
    "rule": ("By a rule of my own", ""),
}
LISTS = ("environments", "services", "workflows")
PLAIN = ("name", "reason", "zone", "starts_at", "ends_at", "exceptions")


def texts(posted: Any) -> dict[str, str]:
    """The form's fields as `approvals.plans.read` takes them."""
    given = {name: posted.get(name, "") for name in PLAIN}
    lists = {name: " ".join(chosen(posted, name)) for name in LISTS}
    return {**given, **lists, "recurrence": recurrence(posted)}


def chosen(given: Any, name: str) -> list[str]:
    """The values of a field that may be given more than once."""
    if hasattr(given, "getlist"):
        return list(given.getlist(name))
    return list(given.get(name, []))


def given(row: Period) -> dict[str, Any]:
    """The form that says what this row says."""
    schedule = row.schedule
    return {
        "name": row.name,
        "reason": row.reason,
        "zone": schedule.zone,
        "starts_at": f"{schedule.start:%Y-%m-%dT%H:%M}",
        "ends_at": f"{schedule.end:%Y-%m-%dT%H:%M}",
        **chosen_rule(schedule.rule),
        "exceptions": " ".join(f"{one:%Y-%m-%d}" for one in sorted(schedule.exceptions)),
        **{name: list(getattr(row, name)) for name in LISTS},
    }


def chosen_rule(text: str) -> dict[str, str]:
    """The three fields that say this rule."""
    read = rule.read(text) if text else None
    stem = text.partition(";UNTIL=")[0]
    repeat = next((name for name, (_, offered) in REPEATS.items() if offered == stem), "rule")
    until = f"{read.until:%Y-%m-%d}" if read and read.until else ""
    return {"repeat": repeat, "until": until, "rule": text if repeat == "rule" else ""}


def recurrence(posted: Mapping[str, str]) -> str:
    """The rule that the three fields say; empty for once."""
    repeat = posted.get("repeat", "")
    if repeat == "rule":
        return posted.get("rule", "").strip() or "FREQ="
    stem = REPEATS.get(repeat, ("", "FREQ="))[1]
    until = posted.get("until", "").replace("-", "").strip()
    return f"{stem};UNTIL={until}" if stem and until else stem
