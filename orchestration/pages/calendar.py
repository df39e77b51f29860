"""The calendar: a month or a list of freezes and windows, each on a page of its own, and the form for a new one."""

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.acting import acting
from approvals import exempt, periods, plans
from approvals.calendar import wall
from approvals.calendar.words import words
from approvals.clock import database_time
from approvals.models import Freeze, Period
from audit.ledger.record import record_refusal
from audit.refusals import Invalid, NotFound, Refusal
from orchestration import access, calendar
from orchestration.models import Change
from orchestration.pages import month, repeating, stopped, story

SHOWN = 20  # occurrences on the page of one
PREVIEWED = 5
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@require_GET
@login_required
def index(request: HttpRequest) -> HttpResponse:
    """`?view=list` is the same for readers of a list; `?month=2026-12` another month."""
    zone, now = timezone.get_current_timezone(), database_time()
    today = now.astimezone(zone).date()
    first = month.month(request.GET.get("month", ""), today=today)
    is_list = request.GET.get("view") == "list"
    since, until = month.bounds(first, zone)
    held = [
        (row, name, one)
        for row, name in _standing(request, since)
        for one in row.schedule.between(since, until)
    ]
    context = {
        "view": "list" if is_list else "month",
        "first": first,
        "weekdays": WEEKDAYS,
        "weeks": [] if is_list else month.weeks(first, today=today, held=held, zone=zone),
        "rows": _list(request, now) if is_list else [],
        "empty": not held,
        "previous": month.turn(first, -1),
        "next": month.turn(first, 1),
        "today": f"{today:%Y-%m}",
        "tabs": [
            {"label": "Month", "url": "/calendar/", "current": not is_list},
            {"label": "List", "url": "/calendar/?view=list", "current": is_list},
        ],
        "page_actions": _actions(request),
    }
    return render(request, "orchestration/calendar.html", context)


@require_GET
@login_required
def detail(request: HttpRequest, key: UUID) -> HttpResponse:
    """When it holds, for what, why, and everything that was done to it."""
    kind, row = _fetch(request, key)
    now = database_time()
    held = row.schedule.holds(now) if row.lifted_at is None else None
    coming = [one for one in row.schedule.occurrences if one.end > now] if row.lifted_at is None else []
    context = {
        "row": row,
        "kind": kind,
        "state": _state(row, now),
        "held": held,
        "coming": coming[:SHOWN],
        "more": max(0, len(coming) - SHOWN),
        "excepted": stopped.excepted(request, row) if isinstance(row, Freeze) else [],
        "may_end": acting(request).user.is_superuser,
        "entries": story.of_row(row.pk),
        "page_actions": _acts(request, kind, row) if coming else [],
    }
    return render(request, "orchestration/period.html", context)


@require_http_methods(["GET", "POST"])
@login_required
def new(request: HttpRequest) -> HttpResponse:
    """A freeze, or with `?kind=window` a window; what it holds up is shown before it is saved."""
    kind = _kind(request)
    if request.method == "GET":
        periods.require_admin(acting(request), kind)
        return _form(request, kind, given=_fresh(request))
    return _save(request, kind)


@require_http_methods(["GET", "POST"])
@login_required
def edit(request: HttpRequest, key: UUID) -> HttpResponse:
    """The same form; only an edit that protects more is saved."""
    kind, row = _fetch(request, key)
    if request.method == "GET":
        periods.require_admin(acting(request), kind)
        return _form(request, kind, given=repeating.given(row), row=row)
    return _save(request, kind, row=row)


@require_POST
@login_required
def end_exception(request: HttpRequest, exception: UUID) -> HttpResponse:
    """What may start through a freeze may no longer."""
    ended = exempt.end(exception, by=acting(request))
    return redirect("orchestration:period", key=ended.freeze_id)


@require_POST
@login_required
def preview(request: HttpRequest) -> HttpResponse:
    """The next times, in words and instants, and the changes that would wait. Stores nothing."""
    kind = _kind(request)
    periods.require_admin(acting(request), kind)  # it names changes, whoever may see them
    try:
        plan = plans.read(repeating.texts(request.POST), what=kind)
        calendar.check(calendar.KINDS[kind], plan)
        shown = _preview(request, kind, plan)
    except Refusal as refusal:
        said = [error["detail"] for error in refusal.errors] or [str(refusal)]
        points = [{"state": "warning", "title": one} for one in said]
        shown = {"summary": "Not ready to save.", "points": points}
    return render(request, "components/preview_result.html", {"preview": shown})


def _save(request: HttpRequest, kind: str, row: Period | None = None) -> HttpResponse:
    by, model = acting(request), calendar.KINDS[kind]
    try:
        periods.require_admin(by, kind)
        plan = plans.read(repeating.texts(request.POST), what=kind)
        calendar.check(model, plan)
        held_up = calendar.affected(model, plan, instead_of=row)
        if held_up and request.POST.get("seen") != " ".join(one.key for one in held_up):
            return _form(request, kind, given=request.POST, row=row, held_up=held_up)
        saved = calendar.lengthen(row, plan, by=by) if row else calendar.make(model, plan, by=by)
    except Refusal as refusal:
        attempted = f"{kind}.{'edit' if row else 'create'}"
        record_refusal(refusal, attempted=attempted, subject=row.name if row else kind, actor=by.actor)
        return _form(request, kind, given=request.POST, row=row, refused=refusal)
    return redirect("orchestration:period", key=saved.pk)


def _form(
    request: HttpRequest,
    kind: str,
    *,
    given: Any,
    row: Period | None = None,
    held_up: list[Change] | None = None,
    refused: Refusal | None = None,
) -> HttpResponse:
    errors = refused.errors if refused else []
    if refused and not errors:
        errors = [{"pointer": "", "detail": str(refused)}]
    visible = access.visible_environments(request.user)
    context = {
        "kind": kind,
        "row": row,
        "given": given,
        "chosen": {name: repeating.chosen(given, name) for name in ("environments", "services", "workflows")},
        "environments": [one for one in visible if one.slug != plans.CONTROL_ROOM],
        "services": access.visible_services(request.user),
        "workflows": access.visible_workflows(request.user),
        "zones": sorted(wall.zones()),
        "repeats": repeating.REPEATS,
        "held_up": held_up or [],
        "seen": " ".join(one.key for one in held_up or []),
        "errors": errors,
    }
    return render(
        request, "orchestration/period_form.html", context, status=refused.status if refused else 200
    )


def _preview(request: HttpRequest, kind: str, plan: plans.Plan) -> dict[str, Any]:
    """`Every Friday 16:00 ...`, the next five, and who would wait."""
    now, zone = database_time(), timezone.get_current_timezone()
    coming = [one for one in plan.schedule.occurrences if one.end > now]
    times = [
        {
            "state": kind,
            "title": f"{one.start.astimezone(zone):%a %d %B %Y %H:%M} to {one.end.astimezone(zone):%a %d %B %H:%M}",
            "note": str(zone),
        }
        for one in coming[:PREVIEWED]
    ]
    waits = [
        {
            "state": "warning",
            "title": f"{one.key} would wait",
            "note": f"{one.title}. {one.requester.name} is told.",
            "url": f"/changes/{one.key}/",
            "link": "See the change",
        }
        for one in calendar.affected(calendar.KINDS[kind], plan)
    ]
    said = words(plan.schedule)
    return {
        "summary": said[0].upper() + said[1:] + ".",
        "note": "It is over already." if not coming else f"The next {len(times)} of {len(coming)}:",
        "points": [*times, *waits],
    }


def _fetch(request: HttpRequest, key: UUID) -> tuple[str, Period]:
    for name, kind in calendar.KINDS.items():
        row = calendar.visible(kind, request.user).filter(pk=key).first()
        if row is not None:
            return name, row
    raise NotFound("There is no such freeze or window, or it is not yours to see.")


def _kind(request: HttpRequest) -> str:
    kind = request.POST.get("kind") or request.GET.get("kind") or "freeze"
    if kind not in calendar.KINDS:
        raise Invalid("Nothing was saved: choose a freeze or a window.")
    return kind


def _fresh(request: HttpRequest) -> dict[str, str]:
    """What a new form says: from the next full hour, in the page's zone."""
    at = database_time().astimezone(timezone.get_current_timezone()).replace(minute=0) + timedelta(hours=1)
    given = {"zone": str(timezone.get_current_timezone()), "starts_at": f"{at:%Y-%m-%dT%H:%M}"}
    return {**given, "ends_at": f"{at + timedelta(hours=2):%Y-%m-%dT%H:%M}", "reason": "", "name": ""}


def _state(row: Period, now: datetime) -> str:
    if row.lifted_at is not None:
        return "lifted"
    if row.schedule.holds(now):
        return "frozen" if isinstance(row, Freeze) else "open"
    return "planned" if row.ends_at > now else "over"


def _actions(request: HttpRequest) -> list[dict[str, Any]]:
    feed = {"label": "Feed", "url": "/calendar/feed/"}
    if not acting(request).user.is_superuser:
        return [feed]
    plan = {"label": "Plan a freeze", "url": "/calendar/new/", "icon": "plus", "primary": True}
    return [feed, {"label": "Plan a window", "url": "/calendar/new/?kind=window"}, plan]


def _acts(request: HttpRequest, kind: str, row: Period) -> list[dict[str, Any]]:
    """What one may do with it: more protection alone, less by a governed act."""
    found = []
    if access.visible_workflows(request.user, "request").filter(slug=f"{kind}-lift").exists():
        asked = urlencode(
            {f"inputs.{kind}": row.key, "service": "countersign", "environment": "control-room"}
        )
        found.append({"label": "Ask to lift it", "url": f"/workflows/{kind}-lift/new/?{asked}"})
    if acting(request).user.is_superuser:
        label = "Make it longer" if kind == "freeze" else "Make it shorter"
        found.append({"label": label, "url": f"/calendar/{row.pk}/edit/"})
    return found


def _standing(request: HttpRequest, since: datetime) -> list[tuple[Period, str]]:
    return [
        (row, name)
        for name, kind in calendar.KINDS.items()
        for row in calendar.visible(kind, request.user).filter(lifted_at=None, ends_at__gt=since)
    ]


def _list(request: HttpRequest, now: datetime) -> list[dict[str, Any]]:
    """Rows of the list: what holds now or will, soonest first."""
    found = [(row, kind, row.schedule.coming(now)) for row, kind in _standing(request, now)]
    rows = [
        {"row": row, "kind": kind, "state": _state(row, now), "next": coming}
        for row, kind, coming in found
        if coming
    ]
    return sorted(rows, key=lambda one: one["next"].start)
