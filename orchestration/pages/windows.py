"""The times that a request names, as typed in a form and as shown in one. Shown and read in the page's time zone.

It must never decide whether a window is allowed: `asking.py` does.
"""

from datetime import datetime
from typing import Any

from django.http import QueryDict
from django.utils import timezone

from audit.refusals import Invalid
from orchestration.asking import window_of
from orchestration.definitions import repeats as times
from orchestration.definitions.repeats import Repeat
from orchestration.models import Plan, Revision
from orchestration.pages import repeating

NAMES = ("not_before", "not_after")
FIELDS = (*NAMES, "repeat", "until", "rule")
SHAPE = "%Y-%m-%dT%H:%M"  # of an input of the type datetime-local


def typed(posted: QueryDict) -> dict[str, str]:
    """As it was typed, to be shown again."""
    return {name: posted.get(name, "") for name in FIELDS}


def read(posted: QueryDict) -> dict[str, Any]:
    """As moments, and how it comes back; Invalid for what is none."""
    rule = repeating.recurrence(posted)
    repeats = Repeat(str(timezone.get_current_timezone()), rule) if rule else None
    return {**{name: _moment(name, posted.get(name, "").strip()) for name in NAMES}, "repeats": repeats}


def of(revision: Revision | Plan) -> dict[str, str]:
    """A revision's window, for the form that edits it."""
    not_before, not_after, repeats = times.said(window_of(revision))
    shown = {"not_before": _shown(not_before), "not_after": _shown(not_after)}
    return {**shown, **repeating.chosen_rule(repeats.rule if repeats else "")}


def _moment(name: str, text: str) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        detail = "Give a day and a time."
        raise Invalid(
            f"Nothing was sent. {detail}", errors=[{"pointer": f"/{name}", "detail": detail}]
        ) from None
    return moment if moment.tzinfo else timezone.make_aware(moment)


def _shown(moment: Any) -> str:
    return timezone.localtime(moment).strftime(SHAPE) if moment else ""
