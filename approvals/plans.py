"""What a freeze or a window is to say, before it is one: read from what people typed, and checked.

It must never let a plan through that would hold nothing: a misspelt slug, a time that never comes.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

from approvals.calendar import rule
from approvals.calendar.schedule import Schedule, faults
from audit.refusals import Invalid

EVERYWHERE = "*"
CONTROL_ROOM = "control-room"  # where governed acts run, the lifting of a freeze among them: never frozen
MAX_NAME = 100


class Known(NamedTuple):
    """The slugs there are: what names anything else would hold nothing."""

    environments: Collection[str]
    services: Collection[str] = ()
    workflows: Collection[str] = ()


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a freeze or a window says, before it is one."""

    name: str
    reason: str
    schedule: Schedule
    environments: tuple[str, ...]
    services: tuple[str, ...] = ()
    workflows: tuple[str, ...] = ()

    @property
    def columns(self) -> dict[str, Any]:
        """As the row keeps it."""
        held = self.schedule.occurrences
        return {
            "name": self.name.strip(),
            "environments": sorted(set(self.environments)),
            "services": sorted(set(self.services)),
            "workflows": sorted(set(self.workflows)),
            "zone": self.schedule.zone,
            "first_start": self.schedule.start,
            "first_end": self.schedule.end,
            "rule": str(rule.read(self.schedule.rule)) if self.schedule.rule else "",
            "exceptions": sorted(self.schedule.exceptions),
            "starts_at": held[0].start,
            "ends_at": max(one.end for one in held),
        }


def once(starts_at: datetime, ends_at: datetime) -> Schedule:
    """From one instant to another."""
    start, end = (at.astimezone(UTC).replace(tzinfo=None) for at in (starts_at, ends_at))
    return Schedule("UTC", start, end)


def read(given: Mapping[str, str], *, what: str) -> Plan:
    """The plan in a form's texts: local times, slugs apart by spaces, an RRULE, days. Invalid, at their places."""
    problems: list[dict[str, str]] = []
    start, end = _wall(given, "starts_at", problems), _wall(given, "ends_at", problems)
    days = _days(given.get("exceptions", ""), problems)
    if problems or start is None or end is None:
        raise Invalid(f"The {what} was not saved. {problems[0]['detail']}", errors=problems)
    zone, text = given.get("zone", "").strip(), given.get("recurrence", "").strip()
    return Plan(
        name=given.get("name", ""),
        reason=given.get("reason", ""),
        schedule=Schedule(zone, start, end, text, days),
        environments=_slugs(given, "environments"),
        services=_slugs(given, "services"),
        workflows=_slugs(given, "workflows"),
    )


def check(plan: Plan, known: Known, *, what: str) -> None:
    """Invalid, with every fault at its place, when the plan is not one that could hold."""
    found = list(_faults(plan, known, what))
    if found:
        errors = [{"pointer": f"/{pointer}", "detail": detail} for pointer, detail in found]
        raise Invalid(f"The {what} was not saved. {found[0][1]}", errors=errors)


def _wall(given: Mapping[str, str], field: str, problems: list[dict[str, str]]) -> datetime | None:
    try:
        at = datetime.fromisoformat(given.get(field, "").strip())
    except ValueError:
        at = None
    if at is None or at.tzinfo is not None:
        detail = "Give the day and the time as a clock on the wall reads them: 2026-12-18T16:00."
        problems.append({"pointer": f"/{field}", "detail": detail})
        return None
    return at.replace(second=0, microsecond=0)


def _days(text: str, problems: list[dict[str, str]]) -> frozenset[date]:
    try:
        return frozenset(date.fromisoformat(one) for one in text.replace(",", " ").split())
    except ValueError:
        problems.append({"pointer": "/exceptions", "detail": "Write each day like 2026-12-25."})
        return frozenset()


def _slugs(given: Mapping[str, str], field: str) -> tuple[str, ...]:
    return tuple(given.get(field, "").replace(",", " ").split())


def _faults(plan: Plan, known: Known, what: str) -> Iterator[tuple[str, str]]:
    if len(plan.name) > MAX_NAME or not plan.name.isprintable():
        yield "name", f"A name has at most {MAX_NAME} characters, on one line."
    if not plan.name.strip():
        yield "name", f"Give the {what} a name: whoever waits for it reads it."
    if not plan.reason.strip():
        yield "reason", f"Write what the {what} is for."
    if not plan.environments:
        yield "environments", "Name at least one environment, or * for all."
    if CONTROL_ROOM in plan.environments:
        yield "environments", f"{CONTROL_ROOM} is never frozen: a {what} is lifted there."
    for field, slugs, there in (
        ("environment", plan.environments, {EVERYWHERE, CONTROL_ROOM, *known.environments}),
        ("service", plan.services, known.services),
        ("workflow", plan.workflows, known.workflows),
    ):
        for at, slug in enumerate(slugs):
            if slug not in there:
                yield f"{field}s/{at}", f"There is no {field} {slug!r}."
    for field, detail in faults(plan.schedule):
        yield {"starts": "starts_at", "ends": "ends_at"}.get(field, field), detail
