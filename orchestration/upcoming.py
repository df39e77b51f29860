"""When changes are to start, and what of the calendar stands in their way then. Reads only.

The gate judges by the database's clock at the start itself; this is for lists that are shown before, and for whoever is
told. It must never hold anything up, nor let anything pass.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.db.models import Q, QuerySet

from approvals import periods
from approvals.models import Freeze, FreezeException, Period
from approvals.periods import Place
from approvals.plans import Plan
from audit.canonical import parse
from orchestration.definitions import repeats
from orchestration.models import Change

C = Change.State


class Stop(NamedTuple):
    """A freeze that holds, or windows of which none is open, at a moment at which a change is to start."""

    by: Period | Plan
    at: datetime


def coming() -> QuerySet[Change]:
    """Changes that will start if nothing happens, or that are asked for with a time to start at."""
    timed = Q(state=C.WAITING, revision__not_before__isnull=False)
    found = Change.objects.filter(timed | Q(state__in=(C.APPROVED, C.SCHEDULED)))
    found = found.exclude(kind=Change.Kind.BREAK_GLASS).order_by("number")  # an emergency passes
    return found.select_related("revision", "environment", "service", "workflow", "requester")


def place(change: Change) -> Place:
    return Place(change.environment.slug, change.service.slug, change.workflow.slug)


def starts(change: Change, *, at: datetime) -> list[datetime]:
    """When it comes to its start, left alone from this moment on; each time, of what comes back."""
    revision = change.revision
    if revision is None or revision.not_before is None:
        return [at]
    schedule = repeats.read(parse(bytes(revision.document)))
    if schedule is None:
        return [max(at, revision.not_before)]
    return [max(at, one.start) for one in schedule.occurrences if one.end > at]


def stop(
    change: Change,
    *,
    frozen: Collection[Period | Plan] = (),
    excepted: Collection[FreezeException] = (),
    windows: Collection[Period | Plan] = (),
    at: datetime,
) -> Stop | None:
    """The first of its starts that would be held up, and by what; a freeze wins over a window."""
    here = place(change)
    freezes = [one for one in frozen if periods.concerns(one, here)]
    digest = change.revision.digest if change.revision else ""
    passes = {one.freeze_id: one.ends_at for one in excepted if one.subject == digest}
    opened = [one for one in windows if periods.concerns(one, here)]
    for moment in starts(change, at=at):
        held = next((one for one in freezes if _holds(one, moment, passes)), None)
        if held is not None:
            return Stop(held, moment)
        if opened and not any(one.schedule.holds(moment) for one in opened):
            return Stop(opened[0], moment)
    return None


def _holds(one: Period | Plan, moment: datetime, passes: Mapping[UUID, datetime]) -> bool:
    """Whether the freeze holds then, and no exception lets this content through it."""
    until = passes.get(one.pk) if isinstance(one, Freeze) else None
    return one.schedule.holds(moment) is not None and (until is None or moment >= until)
