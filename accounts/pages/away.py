"""While I am away: who decides in one's place, from which day to which. Nobody lends another's place."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_http_methods, require_POST

from accounts import delegation
from accounts.acting import acting
from accounts.models import DELEGATION_BOX, Delegation, Team, User
from audit.clock import database_time
from audit.ledger.record import record_refusal
from audit.refusals import Invalid, Refusal


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def away(request: HttpRequest) -> HttpResponse:
    """GET /me/away/ shows; POST lets somebody stand in."""
    if request.method != "POST":
        return _show(request)
    by, posted = acting(request), request.POST
    try:
        first = _day(posted.get("starts_at", ""), "/starts_at")
        delegation.start(
            delegate=posted.get("delegate", ""),
            teams=posted.getlist("teams"),
            starts_at=None if first == database_time().date() else _midnight(first),
            ends_at=_midnight(_day(posted.get("ends_at", ""), "/ends_at") + timedelta(days=1)),
            reason=posted.get("reason", ""),
            by=by,
        )
    except Refusal as refusal:
        subject = f"account:{by.user.pk}"
        record_refusal(refusal, attempted="delegation.start", subject=subject, actor=by.actor)
        return _show(request, refusal)
    return HttpResponseRedirect("/me/away/")


@require_POST
@login_required
def end(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Back again, or rather not."""
    by = acting(request)
    delegation.end(get_object_or_404(delegation.of(by.user), pk=pk), by=by)
    return HttpResponseRedirect("/me/away/")


def _show(request: HttpRequest, refusal: Refusal | None = None) -> HttpResponse:
    user, now = acting(request).user, database_time()
    found = list(delegation.of(user)[:50])
    names = dict(Team.objects.values_list("pk", "name"))
    context = {
        "given": [_row(one, names, now) for one in found if one.delegator_id == user.pk],
        "held": [_row(one, names, now) for one in found if one.delegate_id == user.pk],
        "errors": _errors(refusal),
        "fields": _fields(request, refusal, now),
        "teams": _teams(request, user),
    }
    return render(request, "accounts/away.html", context, status=refusal.status if refusal else 200)


def _row(one: Delegation, names: dict[UUID, str], now: datetime) -> dict[str, Any]:
    over = one.ended_at is not None or one.ends_at <= now
    return {
        "delegation": one,
        "teams": ", ".join(names.get(team, "") for team in one.team_ids) or "All",
        "over": over,
        "state": "Over" if over else "Now" if one.starts_at <= now else "Later",
    }


def _errors(refusal: Refusal | None) -> list[dict[str, str]]:
    """What is about no single field still has a place to go to."""
    if refusal is None:
        return []
    return refusal.errors or [{"pointer": "/delegate", "detail": str(refusal)}]


def _fields(request: HttpRequest, refusal: Refusal | None, now: datetime) -> list[dict[str, Any]]:
    posted = request.POST if refusal else {}
    wrong = {one["pointer"]: one["detail"] for one in _errors(refusal)}
    chosen = posted.get("delegate", "")
    last = (now + DELEGATION_BOX).date() - timedelta(days=1)
    return [
        _field(
            "delegate", "Who decides", chosen, wrong, kind="select",
            options=[(one.username, one.name, one.username == chosen) for one in _colleagues(request)],
            hint="They need their own grants to sign off; you lend your place, nothing else.",
        ),
        _field(
            "reason", "Note", posted.get("reason", ""), wrong, required=False,
            hint="For the two of you; it is not in the audit log.",
        ),
        _field("starts_at", "First day", posted.get("starts_at", str(now.date())), wrong, type="date"),
        _field(
            "ends_at", "Last day", posted.get("ends_at", ""), wrong, type="date",
            hint=f"{last:%d %B %Y} at the latest. Days begin and end at midnight, UTC.",
        ),
    ]  # fmt: skip


def _field(name: str, label: str, value: str, wrong: dict[str, str], **more: Any) -> dict[str, Any]:
    known = {"kind": "text", "required": True, "error": wrong.get(f"/{name}", "")}
    return {"name": name, "id": f"f-{name}", "label": label, "value": value, **known, **more}


def _colleagues(request: HttpRequest) -> list[User]:
    people = User.objects.filter(kind=User.Kind.PERSON, is_active=True)
    return list(people.exclude(person=acting(request).user.person_id).order_by("name"))


def _teams(request: HttpRequest, user: User) -> list[tuple[str, str, bool]]:
    chosen = request.POST.getlist("teams")
    return [(one.slug, one.name, one.slug in chosen) for one in Team.objects.of(user).order_by("name")]


def _day(text: str, pointer: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        detail = "Give the day."
        raise Invalid(
            f"Nobody stands in yet. {detail}", errors=[{"pointer": pointer, "detail": detail}]
        ) from None


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
