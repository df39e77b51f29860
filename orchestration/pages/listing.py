"""Lists with search and cursor: `is:waiting env:production service:web-bank "free words"`."""

import shlex
from typing import Any

from django.db.models import Q, QuerySet
from django.http import HttpRequest, QueryDict

from orchestration import access
from orchestration.models import Change, Run

PAGE = 25
CHANGE_KEYS = {
    "is": "state",
    "state": "state",
    "env": "environment__slug",
    "service": "service__slug",
    "workflow": "workflow__slug",
    "requester": "requester__username",
}
RUN_KEYS = {
    "is": "state",
    "state": "state",
    "env": "change__environment__slug",
    "service": "change__service__slug",
    "workflow": "change__workflow__slug",
}


def changes(request: HttpRequest) -> dict[str, Any]:
    """The context of the list of changes."""
    found = access.visible_changes(request.user).select_related(
        "workflow", "service", "environment", "requester"
    )
    found = searched(found, request.GET.get("q", ""), CHANGE_KEYS, request.user)
    page = paged(found.prefetch_related("runs"), request.GET)
    return {**page, **chips(request.GET), "q": request.GET.get("q", "")}


def runs(request: HttpRequest) -> dict[str, Any]:
    """The context of the list of runs."""
    visible = access.visible_changes(request.user)
    found = Run.objects.filter(change__in=visible).select_related("change__service", "change__environment")
    found = searched(found, request.GET.get("q", ""), RUN_KEYS, request.user)
    return {**paged(found, request.GET), **chips(request.GET), "q": request.GET.get("q", "")}


def searched(found: "QuerySet[Any]", text: str, keys: dict[str, str], user: Any) -> "QuerySet[Any]":
    """The rows that match every word; an unknown key matches nothing rather than everything."""
    for key, value in terms(text):
        if (key, value) == ("is", "mine"):
            found = (
                found.filter(requester=user)
                if found.model is Change
                else found.filter(change__requester=user)
            )
        elif key in keys:
            found = found.filter(**{keys[key]: value})
        elif key == "":
            found = found.filter(_words(value, found.model))
        else:
            return found.none()
    return found


def terms(text: str) -> list[tuple[str, str]]:
    """`[(key, value)]`; free words have an empty key."""
    try:
        parts = shlex.split(text)
    except ValueError:  # an unclosed quote: search for what stands there
        parts = text.replace('"', "").split()
    pairs = (part.partition(":") for part in parts)
    return [(key, value) if colon else ("", key) for key, colon, value in pairs]


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


def _words(value: str, model: type) -> Q:
    prefix = "" if model is Change else "change__"
    match = Q(**{f"{prefix}title__icontains": value})
    number = value.upper().removeprefix("CHG-").removeprefix("RUN-")
    return match | Q(number=int(number)) if number.isdecimal() and len(number) < 18 else match


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
