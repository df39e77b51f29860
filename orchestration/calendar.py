"""The calendar and the changes that it touches: what a freeze or a window would hold up, and who is told.

It must never void a sign-off: a change that is approved keeps its approvals, and waits.
"""

from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet

from accounts.acting import Acting
from accounts.models import User
from approvals import exempt, freezes, periods, plans, windows
from approvals.clock import database_time
from approvals.models import Freeze, Period, Window
from approvals.plans import EVERYWHERE, Known, Plan
from audit.ledger.entry import Actor
from orchestration import access, changes, upcoming
from orchestration.models import Change, Environment, Service, Workflow

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


def affected(kind: Kind, plan: Plan, *, instead_of: Period | None = None) -> list[Change]:
    """Changes that come to their start, now or at their time, when the plan would not let them."""
    at = database_time()
    if kind is Freeze:
        return [one for one in upcoming.coming() if upcoming.stop(one, frozen=[plan], at=at)]
    others = [one for one in periods.standing(Window) if instead_of is None or one.pk != instead_of.pk]
    concerned = [one for one in upcoming.coming() if periods.concerns(plan, upcoming.place(one))]
    return [one for one in concerned if upcoming.stop(one, windows=[plan, *others], at=at)]


def make(kind: Kind, plan: Plan, *, by: Acting) -> Period:
    """The freeze or the window; whoever asked for a change that it holds up is told on the change."""
    with transaction.atomic():
        writer: Any = freezes if kind is Freeze else windows
        row: Period = writer.plan(plan, known=known(), by=by)
        tell(row, author=by.user, by=by.actor)
    return row


def lengthen(row: Period, plan: Plan, *, by: Acting) -> Period:
    """An edit by one admin: only one that protects more."""
    with transaction.atomic():
        writer: Any = freezes if isinstance(row, Freeze) else windows
        edited: Period = writer.edit(row, plan, known=known(), by=by)
        tell(edited, author=by.user, by=by.actor)
    return edited


def check(kind: Kind, plan: Plan) -> None:
    """Invalid when the plan could hold nothing."""
    plans.check(plan, known(), what=kind.__name__.lower())


def tell(row: Period, *, author: User, by: Actor) -> None:
    """What the row holds up from now on, on each change: it stands in the timeline, and an entry keeps its digest.

    A window that was lifted holds up what came in by it, if others stand.
    """
    kind: Kind = Freeze if isinstance(row, Freeze) else Window
    for change in _held_up(kind, row):
        if kind is Freeze:
            said = f"The freeze {row.name} holds here: {row.words}."
        elif row.lifted_at is not None:
            said = f"The window {row.name} was lifted, and no other is open when this change is to start."
        else:
            said = f"Such changes start only inside the window {row.name}: {row.words}."
        changes.remark(change, text=f"{said} This change waits; its approvals stand.", author=author, by=by)


def _held_up(kind: Kind, row: Period) -> list[Change]:
    at, rows = database_time(), upcoming.coming()
    if kind is Freeze:
        return [
            one for one in rows if upcoming.stop(one, frozen=[row], excepted=list(exempt.standing()), at=at)
        ]
    standing = list(periods.standing(Window))
    concerned = [one for one in rows if periods.concerns(row, upcoming.place(one))]
    return [one for one in concerned if upcoming.stop(one, windows=standing, at=at)]
