"""Lists with search and cursor; the grammar is `orchestration/search.py`."""

import shlex
from typing import Any

from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest, QueryDict

from orchestration import access
from orchestration.models import Run
from orchestration.search import CHANGE_KEYS, RUN_KEYS, searched, terms

PAGE = 25


def changes(request: HttpRequest) -> dict[str, Any]:
    """The context of the list of changes."""
    found = access.visible_changes(request.user).select_related(
        "workflow", "service", "environment", "requester"
    )
    found = searched(found, request.GET.get("q", ""), CHANGE_KEYS, request.user)
    applied = Prefetch("runs", Run.objects.applying().order_by("number"))
    page = paged(found.prefetch_related(applied), request.GET)
    return {**page, **chips(request.GET), "q": request.GET.get("q", "")}


def runs(request: HttpRequest) -> dict[str, Any]:
    """The context of the list of runs."""
    visible = access.visible_changes(request.user)
    found: QuerySet[Run] = Run.objects.filter(change__in=visible).select_related(
        "change__service", "change__environment"
    )
    found = searched(found, request.GET.get("q", ""), RUN_KEYS, request.user)
    return {**paged(found, request.GET), **chips(request.GET), "q": request.GET.get("q", "")}


def paged(found: "QuerySet[Any]", query: QueryDict) -> dict[str, Any]:
    """One page by number, newest first; `before` is the cursor."""
    before = query.get("before", "")
    if before.isdecimal():
        found = found.filter(number__lt=int(before))
    rows = list(found.order_by("-number")[: PAGE + 1])
    older = ""
    if len(rows) > PAGE:
        rows = rows[:PAGE]
        older = _with(query, before=str(rows[-1].number))
    newer = _with(query, before="") if before else ""
    return {"rows": rows, "older_url": older, "newer_url": newer}


def chips(query: QueryDict) -> dict[str, Any]:
    """Each term of the search as a chip that can be taken away."""
    found = terms(query.get("q", ""))
    return {
        "chips": [
            {"key": key or "words", "value": value, "remove_url": _without(query, found, number)}
            for number, (key, value) in enumerate(found)
        ]
    }


def _with(query: QueryDict, **changed: str) -> str:
    copy = query.copy()
    for key, value in changed.items():
        copy.pop(key, None)
        if value:
            copy[key] = value
    return "?" + copy.urlencode()


def _without(query: QueryDict, found: list[tuple[str, str]], gone: int) -> str:
    kept = [
        shlex.quote(f"{key}:{value}" if key else value) for n, (key, value) in enumerate(found) if n != gone
    ]
    return _with(query, q=" ".join(kept), before="")
