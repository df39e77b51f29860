"""The times that a request names, as typed in a form and as shown in one. Shown and read in the page's time zone.

It must never decide whether a window is allowed: `asking.py` does.
"""

from datetime import datetime
from typing import Any

from django.http import QueryDict
from django.utils import timezone

from audit.refusals import Invalid
from orchestration.models import Revision

NAMES = ("not_before", "not_after")
SHAPE = "%Y-%m-%dT%H:%M"  # of an input of the type datetime-local


def typed(posted: QueryDict) -> dict[str, str]:
    """As it was typed, to be shown again."""
    return {name: posted.get(name, "") for name in NAMES}


def read(posted: QueryDict) -> dict[str, Any]:
    """As moments; Invalid for what is none."""
    return {name: _moment(name, posted.get(name, "").strip()) for name in NAMES}


def of(revision: Revision) -> dict[str, str]:
    """A revision's window, for the form that edits it."""
    return {name: _shown(getattr(revision, name)) for name in NAMES}


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
