"""The pages of destinations: where entries go, how far behind each is, why one fails, and what to do about it."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from accounts.acting import acting
from audit.ledger.record import record_refusal
from audit.refusals import NotAllowed, Refusal
from orchestration import access
from orchestration.models import CONTROL_ROOM, ITSELF, Destination
from orchestration.outgoing import batches, destinations
from orchestration.pages import fragments, story

ASKS = {"service": ITSELF, "environment": CONTROL_ROOM}


@require_GET
@login_required
def index(request: HttpRequest) -> HttpResponse:
    return render(request, "orchestration/destinations.html", _list(request))


@require_GET
@login_required
def live(request: HttpRequest) -> HttpResponse:
    """The same as it is now."""
    return fragments.answer(request, "orchestration/parts/destinations.html", _list(request))


@require_GET
@login_required
def detail(request: HttpRequest, key: UUID) -> HttpResponse:
    return _page(request, destinations.get_or_404(request.user, key))


@require_GET
@login_required
def live_detail(request: HttpRequest, key: UUID) -> HttpResponse:
    row = destinations.get_or_404(request.user, key)
    return fragments.answer(request, "orchestration/parts/destination.html", _shown(row))


@require_POST
@login_required
def test(request: HttpRequest, key: UUID) -> HttpResponse:
    return _tried(request, key, "test", lambda row: destinations.test(row, by=acting(request)))


@require_POST
@login_required
def resume(request: HttpRequest, key: UUID) -> HttpResponse:
    reason = request.POST.get("reason", "")
    return _tried(
        request, key, "resume", lambda row: destinations.resume(row, reason=reason, by=acting(request))
    )


@require_POST
@login_required
def skip(request: HttpRequest, key: UUID) -> HttpResponse:
    reason = request.POST.get("reason", "")
    return _tried(request, key, "skip", lambda row: destinations.skip(row, reason=reason, by=acting(request)))


def _tried(request: HttpRequest, key: UUID, verb: str, act: Callable[[Destination], None]) -> HttpResponse:
    row = destinations.get_or_404(request.user, key)
    try:
        act(row)
    except Refusal as refusal:
        record_refusal(
            refusal, attempted=f"destination.{verb}", subject=row.subject, actor=acting(request).actor
        )
        return _page(request, row, refusal)
    return redirect("orchestration:destination", key=row.pk)


def _list(request: HttpRequest) -> dict[str, Any]:
    if not destinations.may_see(request.user):
        raise NotAllowed("You cannot see where entries are sent. Admins and auditors can.")
    size = batches.sealed()
    rows = destinations.visible(request.user).standing()
    return {
        "rows": [{"one": one, "behind": one.behind(size)} for one in rows],
        "ended": destinations.visible(request.user).exclude(ended_at=None).order_by("-ended_at"),
        "page_actions": [
            {**one, "icon": "plus", "primary": True}
            for one in _asks(request, {"New destination": ("destination-create", {})})
        ],
    }


def _page(request: HttpRequest, row: Destination, refused: Refusal | None = None) -> HttpResponse:
    now = {f"inputs.{name}": _typed(value) for name, value in destinations.settings_of(row).items()}
    name = {"inputs.name": row.name}
    asks = {"Ask to edit": ("destination-edit", {**name, **now}), "Ask to end": ("destination-end", name)}
    context = {
        **_shown(row),
        "may_act": destinations.may_act(request.user) and row.ended_at is None,
        "entries": story.of_row(row.pk),
        "page_actions": _asks(request, asks) if row.ended_at is None else [],
        "errors": (refused.errors or [{"pointer": "", "detail": str(refused)}]) if refused else [],
        "given": request.POST,
    }
    return render(
        request, "orchestration/destination.html", context, status=refused.status if refused else 200
    )


def _shown(row: Destination) -> dict[str, Any]:
    return {"one": row, "behind": row.behind(batches.sealed())}


def _typed(value: Any) -> str:
    """A setting as the form of the act takes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return " ".join(value) if isinstance(value, list) else str(value)


def _asks(request: HttpRequest, acts: dict[str, tuple[str, dict[str, str]]]) -> list[dict[str, Any]]:
    """The governed acts that this person may ask for, with what holds now filled in."""
    may = set(access.visible_workflows(request.user, "request").values_list("slug", flat=True))
    return [
        {"label": label, "url": f"/workflows/{slug}/new/?{urlencode({**ASKS, **filled})}"}
        for label, (slug, filled) in acts.items()
        if slug in may
    ]
