"""Windows: where one stands, changes of its scope start only inside one; a freeze wins over all of them.

The first window of a scope, and one that is made shorter, protect more, so an admin may do that alone. Whatever
lets a change start at a time at which it could not is a governed act. A window that is over opens nothing again.
"""

from datetime import datetime
from uuid import UUID

from django.db import connection, transaction

from accounts.acting import Acting
from approvals import periods, plans
from approvals.clock import database_time
from approvals.models import Window
from approvals.plans import Known, Plan
from audit.refusals import NotFound, WeakensProtection

LOCK = 0x436F756E77  # advisory lock: of two first windows of a scope, the second is a wider one


@transaction.atomic
def plan(plan: Plan, *, known: Known, by: Acting) -> Window:
    """Let the changes of a scope start only inside; WeakensProtection where windows stand already."""
    periods.require_admin(by, "window")
    plans.check(plan, known, what="window")
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
    if (other := widened_by(plan)) is not None:
        raise WeakensProtection(
            f"The window was not made: beside {other.name} it would let changes start at more times."
            " Request the governed act window-create."
        )
    return periods.create(Window, plan, by=by.actor)


@transaction.atomic
def edit(window: Window, plan: Plan, *, known: Known, by: Acting) -> Window:
    """Make a window shorter; WeakensProtection when it would open at more times, or for other changes."""
    periods.require_admin(by, "window")
    plans.check(plan, known, what="window")
    if is_weaker(window, plan, at=database_time()):
        raise WeakensProtection(
            f"{window.name} was not changed: it would open at more times, or for other changes."
            " Request the governed act window-edit."
        )
    return periods.edit(window, plan, by=by.actor)


def lift(window_id: UUID, *, reason: str, by: Acting) -> Window:
    """Nobody lifts a window alone: where the last one goes, changes may start at any time."""
    periods.require_admin(by, "window")
    window = get(window_id)
    raise WeakensProtection(
        f"{window.name} was not lifted. Request the governed act window-lift: others must agree."
    )


def widened_by(plan: Plan) -> Window | None:
    """A window that concerns some of the same changes, which this plan would let start at more times."""
    return next((one for one in periods.standing(Window).order_by("pk") if periods.meets(one, plan)), None)


def is_weaker(window: Window, plan: Plan, *, at: datetime) -> bool:
    """Whether something could start by the plan that may not start by the window, from now on."""
    same = periods.is_wider(plan, window) and periods.is_wider(window, plan)
    return not (same and window.schedule.covers(plan.schedule, since=at))


def get(window_id: UUID) -> Window:
    found = Window.objects.filter(pk=window_id).first()
    if found is None:
        raise NotFound("There is no such window.")
    return found
