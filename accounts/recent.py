"""How long ago somebody proved, in this session, who they are; and proving it once more.

A session that stays open on a desk must not be enough for what cannot be taken back. It must never take the session's
own word for more than its last password: a session that does not say when it began proves nothing.
"""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest
from django.middleware.csrf import rotate_token

from accounts import rates
from accounts.acting import Acting
from audit.ledger.record import record, record_refusal
from audit.refusals import NotAllowed

PER_ACCOUNT = rates.Limit(10, seconds=300)


class StepUpRequired(NotAllowed):
    """The last password of this session is too long ago for this."""

    code = "step_up_required"


class PasswordWrong(NotAllowed):
    """It was not this account's password."""

    code = "password_wrong"


def is_recent(request: HttpRequest, *, at: datetime) -> bool:
    """Whether the last sign-in or confirmation of this session is recent enough."""
    moments = [request.session.get(name) for name in ("since", "confirmed")]
    limit = at - timedelta(minutes=settings.STEP_UP_MINUTES)
    return any(limit < datetime.fromisoformat(moment) <= at for moment in moments if moment)


def require(request: HttpRequest, *, at: datetime) -> None:
    """StepUpRequired unless it is."""
    if not is_recent(request, at=at):
        raise StepUpRequired(
            f"Your decision was not stored: you proved who you are more than {settings.STEP_UP_MINUTES} minutes ago."
            " Confirm it at /me/confirm/, then decide again."
        )


def confirm(request: HttpRequest, password: str, *, by: Acting, at: datetime) -> None:
    """The password once more; the session goes on under a new key, so that a copied one ends here."""
    subject, key = f"account:{by.user.pk}", f"confirm:{by.user.pk}"
    rates.spend(key, PER_ACCOUNT, at=at)
    if not by.user.check_password(password):
        refusal = PasswordWrong("This is not your password, so nothing was confirmed. Try again.")
        record_refusal(refusal, attempted="session.confirm", subject=subject, actor=by.actor)
        raise refusal
    rates.refund(key)
    with transaction.atomic():
        request.session["confirmed"] = at.isoformat()
        request.session.cycle_key()
        rotate_token(request)
        record("session.confirmed", of=None, subject=subject, actor=by.actor)
