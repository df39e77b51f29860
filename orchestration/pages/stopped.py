"""What the calendar says of a change, at the top of its page: held up at its start, or let through. Reads only."""

from typing import Any
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from approvals import exempt, freezes, periods
from approvals.calendar.words import words
from approvals.clock import database_time
from approvals.models import Freeze, FreezeException, Window
from orchestration import access, calendar, upcoming
from orchestration.models import Change, Revision


def of(request: HttpRequest, change: Change) -> list[dict[str, Any]]:
    """Contexts of components/banner.html."""
    row = upcoming.coming().filter(pk=change.pk).first()
    revision = row.revision if row else None
    if row is None or revision is None:
        return []
    excepted = list(exempt.standing().filter(subject=revision.digest))
    known: dict[str, Any] = {
        "frozen": list(freezes.current()),
        "windows": list(periods.standing(Window)),
        "excepted": excepted,
        "at": database_time(),
    }
    stop = upcoming.stop(row, **known)
    through = [_through(one) for one in excepted if periods.concerns(one.freeze, upcoming.place(row))]
    return [*through, *([_held(request, row, revision, stop)] if stop else [])]


def excepted(request: HttpRequest, freeze: Freeze | None = None) -> QuerySet[FreezeException]:
    """The exceptions in force that one may see: with the freeze, or all, the one that ends soonest first."""
    found = exempt.standing().filter(freeze__in=calendar.visible(Freeze, request.user).values("pk"))
    return found.filter(freeze=freeze) if freeze is not None else found


def _held(request: HttpRequest, change: Change, revision: Revision, stop: upcoming.Stop) -> dict[str, Any]:
    start = f"{timezone.localtime(stop.at):%-d %B %H:%M} {timezone.get_current_timezone()}"
    when = "now" if stop.at <= database_time() else f"when it is to start, {start}"
    shown = {"text": f"{stop.by.name}: {words(stop.by.schedule)}. It waits, and its approvals stand."}
    if not isinstance(stop.by, Freeze):
        return {"state": "freeze", "title": f"No window is open for it {when}", **shown}
    may_ask = access.visible_workflows(request.user, "request").filter(slug="freeze-except").exists()
    inputs = {"inputs.freeze": stop.by.key, "inputs.change": f"{change.key}/{revision.number}"}
    ask = urlencode({**inputs, "service": "countersign", "environment": "control-room"})
    link = {"label": "Ask for an exception", "url": f"/workflows/freeze-except/new/?{ask}"}
    title = f"A freeze holds it up {when}"
    return {"state": "freeze", "title": title, **shown, "link": link if may_ask else None}


def _through(one: FreezeException) -> dict[str, Any]:
    return {
        "state": "exception",
        "title": f"It may start through the freeze {one.freeze.name}",
        "text": f"Until {one.ends_at:%-d %B %H:%M} UTC, this revision alone, by {one.granted_by.partition(':')[2]}: "
        + one.reason,
    }
