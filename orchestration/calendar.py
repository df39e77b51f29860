"""The calendar and the changes that it touches: what a freeze or a window would hold up, and who is told.

It must never void a sign-off: a change that is approved keeps its approvals, and waits.
"""

from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet

from accounts.acting import Acting
from approvals import freezes, periods, plans, windows
from approvals.clock import database_time
from approvals.models import Freeze, Period, Window
from approvals.plans import EVERYWHERE, Known, Plan
from orchestration import access, changes
from orchestration.models import Change, Environment, Service, Workflow
from orchestration.notices import would_hold

C = Change.State
Kind = type[Freeze] | type[Window]
KINDS: dict[str, Kind] = {"freeze": Freeze, "window": Window}


def known() -> Known:
    """Every slug that a freeze or a window may name."""
    every = (Environment, Service, Workflow)
    return Known(*(set(one._default_manager.values_list("slug", flat=True)) for one in every))


def visible(kind: Kind, user: Any) -> QuerySet[Any]:
    """Those of everywhere, and of the environments that this account may see."""
    slugs = list(access.visible_environments(user).values_list("slug", flat=True))
    seen = Q(environments__contains=[EVERYWHERE]) | Q(environments__overlap=slugs)
    return kind._default_manager.filter(seen).order_by("starts_at", "pk")


def affected(kind: Kind, plan: Plan) -> list[Change]:
    """Approved and scheduled changes that would come to their start when they may not."""
    at = database_time()
    found = Change.objects.filter(state__in=(C.APPROVED, C.SCHEDULED)).order_by("number")
    rows = found.select_related("revision", "environment", "service", "workflow", "requester")
    return [one for one in rows if _stops(kind, plan, one, at)]


def make(kind: Kind, plan: Plan, *, by: Acting) -> Period:
    """The freeze or the window; whoever asked for a change that it holds up is told on the change."""
    with transaction.atomic():
        writer: Any = freezes if kind is Freeze else windows
        row: Period = writer.plan(plan, known=known(), by=by)
        _tell(affected(kind, plan), row, by=by)
    return row


def lengthen(row: Period, plan: Plan, *, by: Acting) -> Period:
    """An edit by one admin: only one that protects more."""
    kind: Kind = Freeze if isinstance(row, Freeze) else Window
    with transaction.atomic():
        writer: Any = freezes if kind is Freeze else windows
        edited: Period = writer.edit(row, plan, known=known(), by=by)
        _tell(affected(kind, plan), edited, by=by)
    return edited


def check(kind: Kind, plan: Plan) -> None:
    """Invalid when the plan could hold nothing."""
    plans.check(plan, known(), what=kind.__name__.lower())


def _stops(kind: Kind, plan: Plan, change: Change, at: Any) -> bool:
    if kind is Freeze:
        return would_hold(plan, change, at=at)
    here = periods.Place(change.environment.slug, change.service.slug, change.workflow.slug)
    return periods.concerns(plan, here) and not would_hold(plan, change, at=at)


def _tell(held_up: Sequence[Change], row: Period, *, by: Acting) -> None:
    """A comment on each: it stands in the timeline, and an entry keeps its digest."""
    for change in held_up:
        if isinstance(row, Freeze):
            said = f"The freeze {row.name} holds here: {row.words}."
        else:
            said = f"Such changes start only inside the window {row.name}: {row.words}."
        changes.comment(change, text=f"{said} This change waits; its approvals stand.", by=by)
