"""Freezes, and what the calendar says of a start: judged by database time, at every start, for what it would touch.

A freeze that is made or made longer protects more, so an admin may do that alone. Whatever weakens one is a
governed act. It must never judge by any clock but the database's.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from accounts.acting import Acting
from approvals import periods, plans
from approvals.clock import database_time
from approvals.models import Freeze, Window
from approvals.periods import Place
from approvals.plans import CONTROL_ROOM, EVERYWHERE, Known, Plan
from audit.refusals import NotFound, WeakensProtection

COLUMNS = ("id", "name", "zone", "first_start", "first_end", "rule", "exceptions", "starts_at", "ends_at")
# One query, one clock. The rows are only narrowed here: a day more on each side, because a state may change the
# rules of its zone after the row was written. Windows that are over still count: where one stood, nothing is free.
JUDGED = f"""
SELECT clock.now, p.* FROM (SELECT clock_timestamp() AS now) AS clock LEFT JOIN (
    SELECT 'freeze' AS kind, {", ".join(COLUMNS)}, environments, services, workflows FROM approvals_freeze
     WHERE lifted_at IS NULL AND starts_at <= clock_timestamp() + interval '1 day'
       AND ends_at > clock_timestamp() - interval '1 day'
    UNION ALL
    SELECT 'window', {", ".join(COLUMNS)}, environments, services, workflows FROM approvals_window
     WHERE lifted_at IS NULL
) AS p ON p.environments && %(environments)s::varchar[]
    AND (p.services = '{{}}' OR %(service)s = ANY(p.services))
    AND (p.workflows = '{{}}' OR %(workflow)s = ANY(p.workflows))
"""  # noqa: S608 - names of columns


class Held(NamedTuple):
    """A freeze that holds now."""

    id: UUID
    name: str
    ends_at: datetime


class Judged(NamedTuple):
    """What the calendar says at one moment of the database's clock."""

    now: datetime
    held: list[Held]
    shut: bool = False  # windows stand here, and this moment is in none of them
    opens_at: datetime | None = None  # the next window, when shut


def active(place: Place) -> Judged:
    """The database's time, the freezes that hold here at that moment, and whether it is outside the windows."""
    names = [place.environment, *([EVERYWHERE] if place.environment != CONTROL_ROOM else [])]
    given: dict[str, Any] = {"environments": names, "service": place.service, "workflow": place.workflow}
    with connection.cursor() as cursor:
        cursor.execute(JUDGED, given)
        rows = cursor.fetchall()
    now = rows[0][0]
    frozen = [_read(Freeze, row) for row in rows if row[1] == "freeze"]
    windows = [_read(Window, row) for row in rows if row[1] == "window"]
    return Judged(now, _held(frozen, now), *_shut(windows, now))


def current() -> QuerySet[Freeze]:
    """Freezes that hold now or will, soonest first."""
    return periods.standing(Freeze).filter(ends_at__gt=Now()).order_by("starts_at", "pk")


def versions(place: Place) -> list[str]:
    """The calendar of a place as a digest names it: each freeze that is not over and each window, with its version."""
    frozen = current().filter(periods.about(place))
    windows = periods.standing(Window).filter(periods.about(place))
    return [f"{one.pk}:{one.version}" for one in (*frozen, *windows)]


def create(
    *,
    name: str,
    reason: str,
    environments: list[str],
    starts_at: datetime,
    ends_at: datetime,
    known: Collection[str],
    by: Acting,
) -> Freeze:
    """Forbid starts in these environments from one instant to another."""
    schedule = plans.once(starts_at, ends_at)
    made = Plan(name=name, reason=reason, schedule=schedule, environments=tuple(environments))
    return plan(made, known=Known(known), by=by)


def plan(plan: Plan, *, known: Known, by: Acting) -> Freeze:
    """Forbid starts where and when the plan says. `known` are all slugs there are: a misspelt one is refused."""
    periods.require_admin(by, "freeze")
    plans.check(plan, known, what="freeze")
    return periods.create(Freeze, plan, by=by.actor)


@transaction.atomic
def edit(freeze: Freeze, plan: Plan, *, known: Known, by: Acting) -> Freeze:
    """Make a freeze longer or wider; WeakensProtection when any moment or place would be free that is not now."""
    periods.require_admin(by, "freeze")
    plans.check(plan, known, what="freeze")
    if is_weaker(freeze, plan, at=database_time()):
        raise WeakensProtection(
            f"{freeze.name} was not changed: it would hold less than now. Request the governed act freeze-edit."
        )
    return periods.edit(freeze, plan, by=by.actor)


def lift(freeze_id: UUID, *, reason: str, by: Acting) -> Freeze:
    """Nobody lifts a freeze alone."""
    periods.require_admin(by, "freeze")
    freeze = get(freeze_id)
    raise WeakensProtection(
        f"{freeze.name} was not lifted. Request the governed act freeze-lift: others must agree."
    )


def is_weaker(freeze: Freeze, plan: Plan, *, at: datetime) -> bool:
    """Whether something could start by the plan that may not start by the freeze, from now on."""
    longer = plan.schedule.covers(freeze.schedule, since=at)
    return not (longer and periods.is_wider(plan, freeze))


def get(freeze_id: UUID) -> Freeze:
    found = Freeze.objects.filter(pk=freeze_id).first()
    if found is None:
        raise NotFound("There is no such freeze.")
    return found


def _read(kind: type[Any], row: tuple[Any, ...]) -> Any:
    return kind(**dict(zip(COLUMNS, row[2:], strict=False)))


def _held(frozen: list[Freeze], now: datetime) -> list[Held]:
    """The one that ends last first."""
    ends = [(one, one.schedule.next_change(now)) for one in frozen if one.schedule.holds(now)]
    held = (Held(one.pk, one.name, end) for one, end in ends if end)
    return sorted(held, key=lambda one: one.ends_at, reverse=True)


def _shut(windows: list[Window], now: datetime) -> tuple[bool, datetime | None]:
    if not windows or any(one.schedule.holds(now) for one in windows):
        return False, None
    opens = [at for one in windows if (at := one.schedule.next_change(now))]
    return True, min(opens, default=None)
