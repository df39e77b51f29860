"""The calendar as a file that calendar programs read: `/calendar.ics?token=...`, a secret address for each person.

Each time is written out as the gate judges it, in UTC: no program's idea of zones or recurrence comes between.
"""

from datetime import UTC, datetime, timedelta
from hashlib import sha256

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST
from icalendar import Calendar, Event

from accounts.acting import acting
from accounts.models import User
from approvals import feeds
from approvals.clock import database_time
from approvals.models import Period
from audit.refusals import NotFound
from orchestration import calendar

BEHIND, AHEAD = timedelta(days=31), timedelta(days=400)
PRODUCT = "-//Countersign//Calendar//EN"
FRESH_SECONDS = 900  # how long a program may keep what it read


@require_GET
def ics(request: HttpRequest) -> HttpResponse:
    """What the feed's person may see: nothing else, and nothing for anybody else."""
    user = feeds.reader(request.GET.get("token", ""))
    if user is None:
        raise NotFound("There is no calendar at this address, or it was revoked. Make a new address.")
    body = written(user, at=database_time(), host=request.build_absolute_uri("/"))
    etag = f'"{sha256(body).hexdigest()[:32]}"'
    if request.headers.get("If-None-Match") == etag:
        response = HttpResponse(status=304)
    else:
        response = HttpResponse(body, content_type="text/calendar; charset=utf-8")
    response["ETag"] = etag
    response["Cache-Control"] = f"private, max-age={FRESH_SECONDS}"
    response["Referrer-Policy"] = "no-referrer"
    return response


@require_GET
@login_required
def address(request: HttpRequest) -> HttpResponse:
    """Whether one has an address; the address itself is shown when it is made, and never again."""
    return _page(request)


@require_POST
@login_required
def create(request: HttpRequest) -> HttpResponse:
    issued = feeds.create(by=acting(request))
    return _page(request, url=request.build_absolute_uri(f"/calendar.ics?token={issued.value}"))


@require_POST
@login_required
def revoke(request: HttpRequest) -> HttpResponse:
    feeds.revoke(by=acting(request))
    return redirect("orchestration:feed")


def written(user: User, *, at: datetime, host: str) -> bytes:
    """The file: one event for each time that something holds."""
    file = Calendar()
    file.add("prodid", PRODUCT)
    file.add("version", "2.0")
    file.add("x-wr-calname", "Countersign: freezes and windows")
    for name, kind in calendar.KINDS.items():
        for row in calendar.visible(kind, user).filter(lifted_at=None, ends_at__gt=at - BEHIND):
            for event in _events(row, name, at=at, host=host):
                file.add_component(event)
    return bytes(file.to_ical())


def _events(row: Period, kind: str, *, at: datetime, host: str) -> list[Event]:
    made, found = datetime.fromtimestamp((row.pk.int >> 80) / 1000, UTC), []  # a UUIDv7 begins with its time
    for one in row.schedule.between(at - BEHIND, at + AHEAD):
        event = Event()
        event.add("uid", f"{row.pk}-{one.day:%Y%m%d}@countersign")
        event.add("dtstamp", made)
        event.add("sequence", row.version)
        event.add("dtstart", one.start)
        event.add("dtend", one.end)
        event.add("summary", f"{kind.capitalize()}: {row.name}")
        event.add("description", f"{row.words}. {row.where}. {row.reason}")
        event.add("categories", [kind])
        event.add("transp", "TRANSPARENT")
        event.add("url", f"{host}calendar/{row.pk}/")
        found.append(event)
    return found


def _page(request: HttpRequest, url: str = "") -> HttpResponse:
    context = {"feed": feeds.current(acting(request).user), "url": url}
    response = render(request, "orchestration/feed.html", context)
    response["Cache-Control"] = "no-store"
    return response
