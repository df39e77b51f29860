"""The strip that says that the glass is broken, wherever it must not be overlooked. Reads only."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet

from approvals.clock import database_time
from orchestration import access, reviews
from orchestration.models import Change, Review

C = Change.State
ASKED = {C.WAITING, C.SENT_BACK}
AHEAD = {C.APPROVED, C.SCHEDULED, C.RUNNING, C.UNKNOWN}
SHOWN = 10  # strips of one page; the list of changes has them all


def of(change: Change) -> list[dict[str, Any]]:
    """The strip of one change, for the top of its page; none once it is reviewed."""
    found = _strips([change]) if change.kind == Change.Kind.BREAK_GLASS else []
    return [{**one, "link": None} for one in found]


def seen_by(user: Any) -> list[dict[str, Any]]:
    """One for each broken glass that this person may see."""
    return _strips(_broken(access.visible_changes(user))[:SHOWN])


def asking(user: Any) -> list[dict[str, Any]]:
    """One for each emergency that waits for this person's decision."""
    return _strips(_broken(access.waiting_for(user))[:SHOWN])


def _broken(found: QuerySet[Change]) -> QuerySet[Change]:
    """Emergencies that wait, run, or are over and not reviewed."""
    unreviewed = Q(review__isnull=False, review__closed_at=None)
    alive = found.filter(Q(state__in=ASKED | AHEAD) | unreviewed, kind=Change.Kind.BREAK_GLASS)
    return alive.select_related("service", "environment").order_by("number")


def _strips(found: Iterable[Change]) -> list[dict[str, Any]]:
    now = database_time()
    return [strip for change in found if (strip := _strip(change, now))]


def _strip(change: Change, now: datetime) -> dict[str, Any] | None:
    """The context of components/banner.html."""
    review = Review.objects.filter(change=change).first() if not change.is_moving else None
    text = _text(change, review, now)
    if not text:
        return None
    where = f"{change.service.name} in {change.environment.name}"
    return {
        "state": "overdue_review" if review and review.due_at < now else "break_glass",
        "title": f"Glass is broken: {where}",
        "text": f"{change.key}. {text}",
        "link": {"url": f"/changes/{change.key}/", "label": "Open the change"},
    }


def _text(change: Change, review: Review | None, now: datetime) -> str:
    if change.state in ASKED:
        return "It waits for two people, for an hour at most."
    if change.state in AHEAD:
        return "It runs, or is about to, through any freeze."
    if review is None or review.closed_at is not None:
        return ""
    late = "was due" if review.due_at < now else "is due"
    return f"It is over. Its review {late} {review.due_at:%d %B %H:%M} UTC: two people who took no part."


def review(change: Change, user: Any) -> dict[str, Any] | None:
    """The context of orchestration/parts/review.html, for an emergency that is over."""
    found = Review.objects.filter(change=change).first()
    if found is None:
        return None
    heard = list(found.conclusions.select_related("user"))
    mine = found.closed_at is None and all(one.person_id != user.person_id for one in heard)
    return {
        "due_at": found.due_at,
        "closed_at": found.closed_at,
        "conclusions": heard,
        "left": reviews.PEOPLE - len(heard),
        "url": f"/changes/{change.key}/review/" if mine and access.may_review(user, change) else "",
    }
