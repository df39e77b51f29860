"""Who may throw a kill switch: whoever may operate that environment; an admin, any. It must never lift one."""

from typing import Any

from django.db.models import QuerySet

from accounts import permissions
from accounts.acting import Acting
from accounts.models import User
from approvals import switches
from approvals.models import KillSwitch
from approvals.plans import CONTROL_ROOM, EVERYWHERE
from audit.refusals import Invalid, NotAllowed
from orchestration import access
from orchestration.actions import registry
from orchestration.engine import halt
from orchestration.models import Environment

BANNERS = 5  # on every page; the page of switches has them all


def places(by: Acting) -> list[str]:
    """Where this account may throw one."""
    slugs = Environment.objects.exclude(slug=CONTROL_ROOM).order_by("position")
    if by.user.is_superuser:
        return [EVERYWHERE, *slugs.values_list("slug", flat=True)]
    return [one.slug for one in slugs if permissions.may(by.user, "operate", one)]


def throw(*, environment: str, action: str, hard: bool, reason: str, by: Acting) -> KillSwitch:
    """At once: nothing of it starts any more, and when it is hard, what runs is asked to stop."""
    action = action or switches.ANY
    if environment not in places(by):
        known = environment == EVERYWHERE or Environment.objects.filter(slug=environment).exists()
        if known and environment != CONTROL_ROOM:
            raise NotAllowed(
                f"The kill switch of {environment} was not thrown: an admin can, or who operates it."
            )
        raise Invalid(
            "The kill switch was not thrown: there is no such environment to stop.",
            errors=[{"pointer": "/environment", "detail": f"one of: {', '.join(places(by)) or 'none'}"}],
        )
    if action != switches.ANY and registry.get(action) is None:
        raise Invalid(
            "The kill switch was not thrown: there is no such action.",
            errors=[{"pointer": "/action", "detail": "the name of an action, or * for any"}],
        )
    thrown = switches.throw(environment=environment, action=action, hard=hard, reason=reason, by=by.actor)
    if hard:
        halt.halt_all(by=by.actor)
    return thrown


def standing() -> QuerySet[KillSwitch]:
    """All that hold now."""
    return switches.standing()


def visible(user: Any) -> QuerySet[KillSwitch]:
    """All that hold now where this account may see what happens."""
    slugs = access.visible_environments(user).values_list("slug", flat=True)
    return switches.standing().filter(switches.visible(list(slugs)))


def banners(user: Any) -> list[dict[str, Any]]:
    """For the top of every page: contexts of components/banner.html."""
    if not isinstance(user, User):
        return []
    return [
        {
            "state": "kill_switch",
            "title": f"{one.words}: kill switch",
            "text": one.reason,
            "link": {"url": "/kill-switches/", "label": "Open"},
        }
        for one in visible(user)[:BANNERS]
    ]
