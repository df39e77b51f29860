"""The one search grammar of lists: `is:waiting env:production service:web-bank "free words"`.

Keys are allow-listed; an unknown one matches nothing rather than everything. It must never widen what a person may
see: it narrows the rows that it is given.
"""

import shlex
from typing import Any, TypeVar

from django.db.models import Model, Q, QuerySet

from orchestration.models import Change

Row = TypeVar("Row", bound=Model)
CHANGE_KEYS = {
    "is": "state",
    "state": "state",
    "env": "environment__slug",
    "environment": "environment__slug",
    "service": "service__slug",
    "workflow": "workflow__slug",
    "requester": "requester__username",
}
RUN_KEYS = {
    "is": "state",
    "state": "state",
    "env": "change__environment__slug",
    "environment": "change__environment__slug",
    "service": "change__service__slug",
    "workflow": "change__workflow__slug",
    "requester": "change__requester__username",
}


def searched(found: "QuerySet[Row]", text: str, keys: dict[str, str], user: Any) -> "QuerySet[Row]":
    """The rows that match every word."""
    for key, value in terms(text):
        if (key, value) == ("is", "break-glass"):
            found = found.filter(**{f"{_to_change(found.model)}kind": Change.Kind.BREAK_GLASS})
        elif (key, value) == ("is", "mine"):
            found = found.filter(**{f"{_to_change(found.model)}requester": user})
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


def _words(value: str, model: type[Model]) -> Q:
    match = Q(**{f"{_to_change(model)}title__icontains": value})
    number = value.upper().removeprefix("CHG-").removeprefix("RUN-")
    is_number = number.isascii() and number.isdecimal() and len(number) < 18
    return match | Q(number=int(number)) if is_number else match


def _to_change(model: type[Model]) -> str:
    return "" if model is Change else "change__"
