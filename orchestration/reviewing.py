"""What people do about a change besides deciding on it: claim, hand over, ask, close an obligation, review.

Each function authorises on the change, locks it, and calls one writer below. It must never decide for anybody, nor
keep anybody from deciding.
"""

from uuid import UUID

from django.db import transaction

from accounts.acting import Acting
from accounts.models import User
from approvals import claims, obligations
from approvals.models import Claim, HandOver, Obligation
from audit.refusals import Invalid, MoveNotAllowed, NotAllowed, NotFound
from orchestration import access, lifecycle, reviews
from orchestration.asking import BEFORE_START, current_revision, state_word
from orchestration.changes import NotWaiting, comment
from orchestration.engine.rows import lock_change
from orchestration.models import Change, Comment, Review

C = Change.State


def close_obligation(change: Change, obligation: UUID, *, note: str, by: Acting) -> Obligation:
    """A reviewer says that a condition is met."""
    access.require_sign_off(by.user, change)
    with transaction.atomic():
        change = lock_change(change.pk)
        closed = obligations.close(current_revision(change).chain, obligation, note=note, by=by)
        lifecycle.tell(change)
    return closed


def claim(change: Change, *, stage: UUID, by: Acting) -> Claim:
    """Let others see that one is reviewing, for half an hour."""
    access.require_sign_off(by.user, change)
    with transaction.atomic():
        change = _asking(change)
        made = claims.claim(current_revision(change).chain, stage, by=by)
        lifecycle.tell(change)
    return made


def release(change: Change, *, by: Acting) -> None:
    """Let others see that one is not reviewing any more."""
    with transaction.atomic():
        change = lock_change(change.pk)
        claims.release(current_revision(change).chain, by=by)
        lifecycle.tell(change)


def hand_over(change: Change, *, stage: UUID, to: UUID, note: str, by: Acting) -> HandOver:
    """Ask a colleague to decide; their inbox says who asked."""
    access.require_sign_off(by.user, change)
    taker = User.objects.filter(pk=to, is_active=True).first()
    if taker is None or not access.may_sign_off(taker, change):
        detail = "Choose somebody who may sign off here."
        raise Invalid(f"Nothing was handed over. {detail}", errors=[{"pointer": "/to", "detail": detail}])
    with transaction.atomic():
        change = _asking(change)
        made = claims.hand_over(current_revision(change).chain, stage, to=taker, note=note, by=by)
        lifecycle.tell(change)
    return made


def ask(change: Change, *, text: str, by: Acting) -> Comment:
    """A question to the requester; whatever was signed stays."""
    if by.auth != "session":
        raise NotAllowed("Only a person in a browser asks; nothing was saved. Leave a comment instead.")
    if by.user.person_id == change.requester.person_id:
        raise NotAllowed("You requested this change yourself; nothing was asked. Leave a comment instead.")
    access.require_sign_off(by.user, change)
    if C(change.state) not in BEFORE_START:
        raise MoveNotAllowed(
            f"{change.key} is {state_word(change)}; nothing was asked. Leave a comment instead."
        )
    return comment(change, text=text, by=by, kind=Comment.Kind.QUESTION)


def answer(change: Change, question: UUID, *, text: str, by: Acting) -> Comment:
    """The requester's answer, which everybody reads."""
    asked = change.comments.filter(pk=question, kind=Comment.Kind.QUESTION).first()
    if asked is None:
        raise NotFound("There is no such question on this change.")
    if by.user.person_id != change.requester.person_id:
        raise NotAllowed(f"{change.requester.name} was asked; nothing was saved. Leave a comment instead.")
    return comment(change, text=text, by=by, answers=asked)


def _asking(change: Change) -> Change:
    """The change, locked, while it asks anybody."""
    change = lock_change(change.pk)
    if change.state != C.WAITING:
        raise NotWaiting(f"{change.key} is {state_word(change)}, so nobody is asked. Nothing was done.")
    return change


def conclude(change: Change, *, text: str, by: Acting) -> Review:
    """Somebody who took no part in an emergency says what they found."""
    access.require_sign_off(by.user, change)
    with transaction.atomic():
        change = lock_change(change.pk)
        review = reviews.conclude(change, text, by=by)
        lifecycle.tell(change)
    return review
