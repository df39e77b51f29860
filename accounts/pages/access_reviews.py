"""Access reviews: which teams are due, and one review with everybody in the team. Decides nothing itself."""

from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_POST, require_safe

from accounts import access_reviews as reviews
from accounts.acting import Acting, acting
from accounts.models import AccessReview, Team, User
from audit.clock import database_time
from audit.ledger.record import record_refusal
from audit.refusals import Refusal


@require_safe
@login_required
def index(request: HttpRequest) -> HttpResponse:
    """GET /people/reviews/: the teams that one may see, what is overdue first."""
    user, now = acting(request).user, database_time()
    rows = sorted(reviews.due(reviews.visible(user)), key=lambda one: one.due)
    shown = [
        {"row": one, "overdue": one.due <= now, "mine": reviews.may_review(user, one.team)} for one in rows
    ]
    return render(request, "accounts/access_reviews.html", {"rows": shown})


@require_POST
@login_required
def begin(request: HttpRequest, slug: str) -> HttpResponse:
    """Open the review of a team."""
    by = acting(request)
    team = get_object_or_404(reviews.visible(by.user), slug=slug)
    try:
        review = reviews.begin(team, by=by)
    except Refusal as refusal:
        _record_refused(refusal, "access_review.begin", team, by)
        raise
    return HttpResponseRedirect(f"/people/reviews/{review.pk}/")


@require_safe
@login_required
def detail(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Everybody in the team, and what was decided about each."""
    return _show(request, _seen(request, pk))


@require_POST
@login_required
def decide(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Keep or remove one account; or, without one, end the review."""
    by, review = acting(request), _seen(request, pk)
    username = request.POST.get("account", "")
    try:
        if username:
            reviews.decide(review, username, request.POST.get("decision", ""), by=by)
        else:
            reviews.complete(review, by=by)
    except Refusal as refusal:
        _record_refused(refusal, "access_review.decide", review.team, by)
        return _show(request, review, refusal)
    return HttpResponseRedirect(f"/people/reviews/{review.pk}/" + (f"#{username}" if username else ""))


def _seen(request: HttpRequest, pk: UUID) -> AccessReview:
    """Whoever may not see the team's reviews is told nothing of them."""
    among = AccessReview.objects.filter(team__in=reviews.visible(acting(request).user))
    return get_object_or_404(among.select_related("team"), pk=pk)


def _record_refused(refusal: Refusal, attempted: str, team: Team, by: Acting) -> None:
    record_refusal(refusal, attempted=attempted, subject=f"team:{team.slug}", actor=by.actor)


def _show(request: HttpRequest, review: AccessReview, refusal: Refusal | None = None) -> HttpResponse:
    user = acting(request).user
    rows = _rows(review, user)
    may = reviews.may_review(user, review.team) and review.completed_at is None
    context = {
        "review": review,
        "rows": rows,
        "may": may,
        "left": sum(1 for one in rows if one["decision"] is None),
        "removed": sum(1 for one in rows if one["decision"] == "remove"),
        "refusal": str(refusal) if refusal else "",
    }
    return render(request, "accounts/access_review.html", context, status=refusal.status if refusal else 200)


def _rows(review: AccessReview, user: User) -> list[dict[str, Any]]:
    """Who is in the team while the review is open; who was decided about once it is over."""
    decided = {one.account_id: one for one in review.decisions.select_related("account__person", "by")}
    members: list[tuple[User, Any]]
    if review.completed_at is None:
        members = [(one.user, one.since) for one in reviews.roster(review.team)]
    else:
        members = [(one.account, None) for one in decided.values()]
    return [
        {
            "account": account,
            "since": since,
            "own": account.person_id == user.person_id,
            "decision": decided[account.pk].decision if account.pk in decided else None,
            "by": decided[account.pk].by if account.pk in decided else None,
        }
        for account, since in sorted(members, key=lambda one: one[0].name)
    ]
