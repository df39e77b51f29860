"""External auditors: an account that reads until a moment, changes nothing, and leaves an entry of what it opened.

The end holds at once, by the database's clock; a sweep then switches the account off for good. It must never open a
door: what the account may read is granted to its teams, as for everybody.
"""

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from accounts import teams, tokens
from accounts.models import Engagement, User
from audit.clock import database_time
from audit.ledger.entry import Actor, system
from audit.ledger.personal import Erasable
from audit.ledger.record import record
from audit.models import Entry
from audit.refusals import Invalid, NotAllowed, StaleVersion

LONGEST = timedelta(days=366)
AGAIN = timedelta(minutes=1)  # within which opening the same once more is no new entry
SAFE = {"GET", "HEAD", "OPTIONS"}
# What a reader sends: asks for reports and takes them (each an entry of its own), signs in and out, looks otherwise.
MAY_SEND = ("/compliance/", "/audit/", "/accounts/", "/demo/persona/", "/api/v1/reports/", "/api/v1/audit/")
SWEEPER = system("system:engagements")


class EngagementOver(NotAllowed):
    """The time of this account is over."""

    code = "engagement_over"


class ReadsOnly(NotAllowed):
    """This account reads and changes nothing."""

    code = "reads_only"


def engage(user: User, ends_at: datetime, *, by: Actor) -> Engagement:
    """Make an account one that reads until then, or move its end. Its tokens end: it acts in a browser alone."""
    now = database_time()
    if not now < ends_at <= now + LONGEST:
        raise Invalid(f"Nothing was changed: the end lies ahead, by at most {LONGEST.days} days.")
    if user.is_superuser or user.kind != User.Kind.PERSON or not user.is_active:
        raise Invalid("Nothing was changed: only an active person who is no admin can be engaged to read.")
    with transaction.atomic():
        found = Engagement.objects.filter(user=user).first()
        if found is None:
            found = Engagement.objects.create(user=user, ends_at=ends_at)
            _record("engagement.started", found, by)
        else:
            row = Engagement.objects.filter(pk=found.pk, version=found.version)
            if not row.update(ends_at=ends_at, version=F("version") + 1):
                raise StaleVersion("Somebody changed this engagement meanwhile; nothing was done.")
            found.refresh_from_db()
            _record("engagement.moved", found, by)
        for token in user.tokens.filter(revoked_at=None):
            tokens.end(token, by=by)
    return found


def of(user: Any) -> Engagement | None:
    """The engagement of whoever is signed in, if theirs is such an account."""
    if not isinstance(user, User):
        return None
    return Engagement.objects.filter(user=user).first()


def check(found: Engagement, method: str, path: str) -> None:
    """EngagementOver behind its end; ReadsOnly for what would change something."""
    if database_time() >= found.ends_at:
        raise EngagementOver(
            f"Your access ended on {found.ends_at:%Y-%m-%d %H:%M} UTC, so nothing was done. An admin can extend"
            " it."
        )
    if method not in SAFE and not path.startswith(MAY_SEND):
        raise ReadsOnly("This account reads and changes nothing, so nothing was done.")


def opened(found: Engagement, path: str, query: str, *, by: Actor) -> None:
    """Write down what was opened; the same once more within a minute is told once."""
    lately = Entry.objects.filter(
        kind="page.opened", actor=by.id, subject=path[:200], occurred_at__gt=Now() - AGAIN
    )
    if not query and lately.exists():
        return
    with transaction.atomic():
        record(
            "page.opened",
            of=None,
            subject=path[:200],
            actor=by,
            path=path[:1000],
            query=Erasable(query[:1000]),
        )


def settle() -> int:
    """Switch off for good whose time is over; how many."""
    over = Engagement.objects.filter(ends_at__lte=Now(), user__is_active=True).select_related("user")
    for one in over:
        teams.deactivate(one.user, by=SWEEPER)
    return len(over)


def _record(kind: str, found: Engagement, by: Actor) -> None:
    record(
        kind, of=found, subject=f"account:{found.user_id}", actor=by, account=str(found.user_id),
        ends_at=found.ends_at.isoformat(),
    )  # fmt: skip
