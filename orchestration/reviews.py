"""Reviews of emergencies: opened when one is over, closed by two people who took no part in it.

Each function runs in its caller's transaction, the change locked by the caller. It must never close a review by itself,
by time or by an admin's word.
"""

from datetime import timedelta
from uuid import UUID

from django.db.models import F

from accounts.acting import Acting
from accounts.models import User
from approvals.chain import persons
from approvals.clock import database_time
from approvals.eligibility import in_conflict
from approvals.models import Chain, SignOff
from audit.ledger.entry import Actor
from audit.ledger.personal import Erasable
from audit.ledger.record import record, timestamp
from audit.models import Entry
from audit.refusals import Invalid, NotAllowed, NotFound, Refusal
from orchestration.definitions.digest import emergency_of
from orchestration.definitions.source import CONTROL
from orchestration.models import Change, Conclusion, Review

DUE = timedelta(days=5)
PEOPLE = 2  # who took no part
TEXT_MAX = 4000


class ReviewClosed(Refusal):
    """Two people have closed the review, or this person has spoken in it already."""

    code = "review_closed"


class TookPart(NotAllowed):
    """Whoever asked, wrote, decided or operated does not review."""

    code = "took_part"


def open_for(change: Change, *, by: Actor) -> None:
    """The review of an emergency that is over; of any other change there is none."""
    revision = change.revision
    if revision is None or emergency_of(bytes(revision.document)) is None:
        return
    if Review.objects.filter(change=change).exists():
        return
    now = database_time()
    review = Review.objects.create(change=change, opened_at=now, due_at=now + DUE)
    record(
        "review.opened",
        of=review,
        subject=change.key,
        actor=by,
        change=change.key,
        due_at=timestamp(review.due_at),
    )


def conclude(change: Change, text: str, *, by: Acting) -> Review:
    """One person's conclusion; the second closes the review."""
    _check_person(change, by)
    review = Review.objects.select_for_update(no_key=True).filter(change=change).first()
    if review is None:
        raise NotFound(f"{change.key} has no review: it was no emergency, or it is not over.")
    _check_text(text)
    _check_open(review, by.user)
    now = database_time()
    made = Conclusion.objects.create(
        review=review, person=by.user.person, user=by.user, text=text.strip(), given_at=now
    )
    closes = review.conclusions.count() >= PEOPLE
    seen = Review.objects.filter(pk=review.pk, version=review.version)
    seen.update(closed_at=now if closes else None, version=F("version") + 1)
    review.refresh_from_db()
    if closes:
        _record("review.closed", review, change, made, by=by)
    else:
        _record("review.concluded", review, change, made, by=by)
    return review


def took_part(change: Change) -> set[UUID]:
    """The persons who asked, wrote what ran, decided (withdrawn or not), started, stopped or answered.

    So did somebody in whose place was decided; and nobody is judged by their own deputy, as in any approval.
    """
    chains = Chain.objects.filter(pk__in=change.revisions.values("chain"))
    found = {person for chain in chains for person in chain.barred}
    for one in SignOff.objects.filter(chain__in=chains):
        found |= persons(one)
    return set(in_conflict(found | set(_operators(change))))


def _operators(change: Change) -> list[UUID]:
    """By the ledger: whoever acted on its runs, or asked for its start."""
    runs = [run.key for run in change.runs.all()]
    acts = Entry.objects.filter(subject__in=runs).exclude(kind="attempt.refused")
    acts |= Entry.objects.filter(subject=change.key, kind="change.start_asked")
    actors = [actor for actor in acts.values_list("actor", flat=True).distinct() if ":" not in actor]
    return list(User.objects.filter(pk__in=actors).values_list("person_id", flat=True))


def _record(kind: str, review: Review, change: Change, made: Conclusion, *, by: Acting) -> None:
    record(
        kind,
        of=review,
        subject=change.key,
        actor=by.actor,
        change=change.key,
        person=str(made.person_id),
        conclusion=Erasable(made.text),
    )


def _check_person(change: Change, by: Acting) -> None:
    if by.auth != "session" or by.user.kind != User.Kind.PERSON:
        raise NotAllowed("A review is written by a person in a browser; nothing was saved.")
    if by.user.person_id in took_part(change):
        raise TookPart(f"You took part in {change.key}, so somebody else reviews it. Nothing was saved.")


def _check_text(text: str) -> None:
    detail = "" if text.strip() else "Write what you found."
    if len(text) > TEXT_MAX or CONTROL.search(text):
        detail = f"A conclusion has at most {TEXT_MAX} characters and no control characters."
    if detail:
        raise Invalid(f"Nothing was saved. {detail}", errors=[{"pointer": "/conclusion", "detail": detail}])


def _check_open(review: Review, user: User) -> None:
    if review.closed_at is not None:
        raise ReviewClosed("This review is closed; nothing was saved.")
    if review.conclusions.filter(person=user.person_id).exists():
        raise ReviewClosed("You have written your conclusion; somebody else closes the review.")
