"""The inbox: what waits for me, what I asked for, what I decided. No decision can be made in a list."""

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET

from approvals.clock import database_time
from approvals.models import Freeze
from orchestration import access, calendar, notices
from orchestration.models import Change, Run
from orchestration.pages import fragments, glass

TABS = {"decide": "Needs my decision", "requests": "My requests", "decided": "Decided by me"}
LIMIT = 100  # rows of one tab; more than that is a search


@require_GET
@login_required
def home(request: HttpRequest) -> HttpResponse:
    """Landing by role: auditors see compliance, everyone else the inbox."""
    auditor = (
        request.user.has_perm("audit.view_entry")
        and not access.visible_workflows(request.user, "request").exists()
    )
    return redirect("/compliance/" if auditor else "orchestration:inbox")


@require_GET
@login_required
def inbox(request: HttpRequest, tab: str = "decide") -> HttpResponse:
    """One tab of the inbox, with what runs now and what is frozen beside it."""
    if tab not in TABS:
        raise Http404
    lists = {name: _rows(name, request.user) for name in TABS}
    asked = access.steps_for(request.user)  # type: ignore[arg-type]  # signed in
    counts = {name: len(rows) for name, rows in lists.items()}
    counts["decide"] += len(asked)  # they stand beside the list, and wait for this person as well
    template = "orchestration/inbox_live.html" if request.htmx else "orchestration/inbox.html"  # type: ignore[attr-defined]
    draw = fragments.answer if request.htmx else render  # type: ignore[attr-defined]
    return draw(request, template, {
        "tab": tab,
        "tabs": [
            {"label": label, "url": _url(name), "count": counts[name], "current": name == tab}
            for name, label in TABS.items()
        ],
        "rows": lists[tab],
        "running": _running(request.user),
        "asked": asked,
        "strips": glass.asking(request.user),
        "freezes": _freezes(request.user),
        "notices": notices.of(request.user),  # type: ignore[arg-type]  # signed in
        "moving_words": _moving(lists["requests"]),
        "page_actions": [{"label": "New request", "url": "/workflows/", "icon": "plus", "primary": True}],
        "request_action": {"label": "Choose a workflow", "url": "/workflows/"},
    })  # fmt: skip


def _freezes(user: Any) -> list[dict[str, Any]]:
    """What holds up starts where one may look, now or next."""
    now = database_time()
    standing = calendar.visible(Freeze, user).filter(lifted_at=None, ends_at__gt=now)
    found = [{"row": row, "next": coming} for row in standing if (coming := row.schedule.coming(now))]
    return sorted(found, key=lambda one: one["next"].start)


def _moving(mine: list[Change]) -> str:
    """`3 of your requests are moving.`"""
    count = sum(change.state in {"waiting", "approved", "running"} for change in mine)
    return f"{count} of your requests {'is' if count == 1 else 'are'} moving." if count else ""


def _url(tab: str) -> str:
    return "/inbox/" if tab == "decide" else f"/inbox/{tab}/"


def _rows(tab: str, user: Any) -> list[Change]:
    found = access.visible_changes(user).select_related(
        "service", "environment", "requester", "revision__chain"
    )
    if tab == "decide":
        return list(access.waiting_for(user)[:LIMIT])
    if tab == "requests":
        return list(found.filter(requester=user).order_by("-number")[:LIMIT])
    return list(found.filter(revisions__chain__sign_offs__user=user).distinct().order_by("-number")[:LIMIT])


def _running(user: Any) -> list[Run]:
    found = Run.objects.filter(state=Run.State.RUNNING, change__in=access.visible_changes(user))
    return list(found.select_related("change__service", "change__environment").order_by("-number")[:5])
