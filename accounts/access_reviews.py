"""Periodic reviews of who is in a team: somebody else decides about each, and whoever is not kept leaves at the end.

It must never let anybody decide about themselves, nor end while somebody in the team was not looked at.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import F, Max, Min, Q, QuerySet
from django.db.models.functions import Now

from accounts import teams
from accounts.acting import Acting
from accounts.bearer import SessionOnly
from accounts.models import AccessDecision, AccessReview, Membership, Team, User
from audit.ledger.record import record
from audit.refusals import Invalid, NotAllowed, NotFound, Refusal, StaleVersion

EVERY = timedelta(days=90)
D = AccessDecision.Decision


class ReviewOpen(Refusal):
    """One review of a team at a time."""

    code = "access_review_open"


class ReviewCompleted(Refusal):
    """Nothing is decided in a review that is over."""

    code = "access_review_completed"


class NotReviewed(Refusal):
    """Somebody in the team was not looked at."""

    code = "access_not_reviewed"


class OwnAccess(NotAllowed):
    """Nobody decides about themselves."""

    code = "own_access"


@dataclass(frozen=True)
class Due:
    """A team, when it was last reviewed, and when it has to be again."""

    team: Team
    last: datetime | None
    due: datetime
    open: AccessReview | None


def begin(team: Team, *, by: Acting) -> AccessReview:
    """Open a review of everybody in this team."""
    _check_may(team, by)
    with transaction.atomic():
        try:
            with transaction.atomic():
                review = AccessReview.objects.create(team=team)
        except IntegrityError as error:
            raise ReviewOpen(f"A review of {team.name} is open already; go on with it.") from error
        _record("access_review.opened", review, by)
    return review


def decide(review: AccessReview, username: str, decision: str, *, by: Acting) -> AccessDecision:
    """Say whether this account stays in the team. Nothing happens to it before the review is completed."""
    _check_may(review.team, by)
    if decision not in D.values:
        detail = "Decide keep or remove."
        raise Invalid(f"Nothing was decided. {detail}", errors=[{"pointer": "/decision", "detail": detail}])
    with transaction.atomic():
        _lock(review)
        member = roster(review.team).filter(user__username=username).first()
        if member is None:
            raise NotFound(f"There is no {username} in {review.team.name}; nothing was decided.")
        if member.user.person_id == by.user.person_id:
            raise OwnAccess("Somebody else decides whether you stay; nothing was decided.")
        made = _put(review, member.user, decision, by)
        told = {"account": str(member.user_id), "decision": decision, "person": str(by.user.person_id)}
        record(
            "access_review.decided", of=made, subject=f"team:{review.team.slug}", actor=by.actor,
            review=str(review.pk), **told,
        )  # fmt: skip
    return made


def complete(review: AccessReview, *, by: Acting) -> AccessReview:
    """End the review: whoever is to be removed leaves the team in the same moment."""
    _check_may(review.team, by)
    with transaction.atomic():
        _lock(review)
        decided = {one.account_id: one.decision for one in review.decisions.all()}
        members = [one.user for one in roster(review.team)]
        if missing := [one.name for one in members if one.pk not in decided]:
            raise NotReviewed(
                f"The review is still open: nobody has decided about {', '.join(missing[:5])} yet."
            )
        removed = [one for one in members if decided[one.pk] == D.REMOVE]
        for one in removed:
            teams.leave(review.team, one, by=by.actor)
        seen = AccessReview.objects.filter(pk=review.pk, version=review.version)
        seen.update(completed_at=Now(), version=F("version") + 1)
        review.refresh_from_db()
        gone = sorted(str(one.pk) for one in removed)
        kept = sorted(str(one.pk) for one in members if one not in removed)
        _record("access_review.completed", review, by, kept=kept, removed=gone)
    return review


def roster(team: Team) -> QuerySet[Membership]:
    """Who is in the team now."""
    return team.memberships.open().select_related("user__person").order_by("user__name")


def may_review(user: User, team: Team) -> bool:
    """Admins, and whoever leads the team."""
    leads = Membership.objects.open().filter(team=team, user=user, lead=True)
    return user.is_active and user.kind == User.Kind.PERSON and (user.is_superuser or leads.exists())


def visible(user: User) -> QuerySet[Team]:
    """The teams whose reviews this account may see: those that it may review, and all for whoever reads the log."""
    if user.is_superuser or user.has_perm("audit.view_entry"):
        return Team.objects.order_by("name")
    led = Q(memberships__user=user, memberships__lead=True, memberships__ended_at=None)
    return Team.objects.filter(led).distinct().order_by("name")


def due(found: QuerySet[Team]) -> list[Due]:
    """Each of these teams with the time of its next review; counted from its first member where there was none."""
    every = Team.objects.filter(pk__in=found.values("pk"))  # a join of `found` would hide some memberships
    told = every.annotate(last=Max("access_reviews__completed_at"), since=Min("memberships__since"))
    known = {key: (last, last or since) for key, last, since in told.values_list("pk", "last", "since")}
    opened = {one.team_id: one for one in AccessReview.objects.filter(team__in=found, completed_at=None)}
    return [
        Due(one, known[one.pk][0], known[one.pk][1] + EVERY, opened.get(one.pk))
        for one in every
        if known[one.pk][1]
    ]


def _check_may(team: Team, by: Acting) -> None:
    if by.auth != "session":
        raise SessionOnly("Nothing was done. A person reviews in a browser who stays in a team.")
    if not may_review(by.user, team):
        raise NotAllowed(
            f"Nothing was done. Who is in {team.name} is reviewed by an admin or by whoever leads it."
        )


def _lock(review: AccessReview) -> None:
    """Decisions and the end of one review take turns."""
    locked = AccessReview.objects.select_for_update(no_key=True).get(pk=review.pk)
    if locked.completed_at is not None:
        raise ReviewCompleted("This review is over; nothing was done. Open another one.")
    review.version = locked.version


def _put(review: AccessReview, account: User, decision: str, by: Acting) -> AccessDecision:
    made = AccessDecision.objects.filter(review=review, account=account).first()
    if made is None:
        return AccessDecision.objects.create(review=review, account=account, by=by.user, decision=decision)
    seen = AccessDecision.objects.filter(pk=made.pk, version=made.version)
    if not seen.update(decision=decision, by=by.user, version=F("version") + 1):
        raise StaleVersion(
            "Somebody decided about this account meanwhile; nothing was done. Reload the page."
        )
    made.refresh_from_db()
    return made


def _record(kind: str, review: AccessReview, by: Acting, **told: list[str]) -> None:
    record(
        kind, of=review, subject=f"team:{review.team.slug}", actor=by.actor, review=str(review.pk),
        person=str(by.user.person_id), **told,
    )  # fmt: skip
