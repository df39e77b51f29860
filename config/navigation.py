"""What every page's frame needs: the rail, the organisation, the demo's people.

Items come from functions that are composed here; a floor below never knows the rail.
"""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from accounts import personas
from accounts.models import User
from audit.access import may_read
from audit.pages import integrity
from orchestration import access, play, stopping, waivers, workers
from orchestration.outgoing import destinations

Item = dict[str, Any]
ITEMS: list[tuple[str, str, str, str]] = [  # url, label, icon, group
    ("/inbox/", "Inbox", "inbox", ""),
    ("/workflows/", "New request", "plus", ""),
    ("/changes/", "Changes", "list", ""),
    ("/runs/", "Runs", "play", ""),
    ("/break-glass/", "Break glass", "exception", ""),
    ("/environments/", "Environments", "grid", ""),
    ("/calendar/", "Calendar", "calendar", ""),
    ("/policies/", "Policies", "shield", "Govern"),
    ("/compliance/", "Compliance", "chart", "Govern"),
    ("/exceptions/", "Exceptions", "exception", "Govern"),
    ("/audit/", "Audit log", "ledger", "Govern"),
    ("/admin/workers/", "Workers", "node", "Operate"),
    ("/admin/destinations/", "Destinations", "out", "Operate"),
    ("/kill-switches/", "Kill switches", "cancelled", "Operate"),
    ("/secrets/", "Secrets", "lock", "Operate"),
    ("/people/", "People and teams", "person", "Operate"),
]
# url -> how many wait there for this person.
COUNTS: dict[str, Callable[[User], int]] = {
    "/inbox/": lambda user: access.waiting_for(user).count() + len(access.steps_for(user)),
    "/exceptions/": waivers.ending,
}
# url -> may this person open it? No function: everybody who is signed in.
OPEN_TO: dict[str, Callable[[User], bool]] = {
    "/break-glass/": lambda user: access.visible_environments(user, "break_glass").exists(),
    "/workflows/": lambda user: access.visible_workflows(user).exists(),
    "/admin/workers/": workers.may_see,
    "/admin/destinations/": destinations.may_see,
    "/audit/": may_read,
    "/compliance/": may_read,
}


def shell(request: HttpRequest) -> dict[str, Any]:
    """The context processor. Costs nothing until a template asks."""
    return {
        "organisation": settings.ORGANISATION,
        "demo": settings.DEMO,
        "stops": SimpleLazyObject(lambda: banners(getattr(request, "user", None))),
        "engagement": getattr(request, "engagement", None),
        "nav": SimpleLazyObject(lambda: rail(request)),
        "personas": SimpleLazyObject(lambda: personas.shown(request)),
    }


def banners(user: Any) -> list[Item]:
    """What stands above every page, and nobody can put away: a log that is not sound, what is stopped."""
    alarms = integrity.alarms() if isinstance(user, User) and may_read(user) else []
    return [*alarms, *stopping.banners(user), *play.notices()]


def rail(request: HttpRequest) -> list[Item]:
    """The items that this person may open, the current one marked."""
    user = getattr(request, "user", None)
    if not isinstance(user, User):
        return []
    return [
        {
            "url": url,
            "label": label,
            "icon": icon,
            "group": group,
            "current": request.path.startswith(url),
            "count": COUNTS[url](user) if url in COUNTS else 0,
        }
        for url, label, icon, group in ITEMS
        if url not in OPEN_TO or OPEN_TO[url](user)
    ]
