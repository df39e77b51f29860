"""The secret addresses of calendar feeds: one a person, shown once, revocable; reading is all they are good for.

A calendar program can send no header, so this one secret may stand in an address. It must never open anything else.
"""

import secrets
from dataclasses import dataclass

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from accounts.acting import Acting
from accounts.models import User
from accounts.tokens import fingerprint
from approvals.models import Feed
from audit.ledger.record import record
from audit.refusals import NotAllowed, NotFound


@dataclass(frozen=True)
class Issued:
    """A new feed and its secret, which is nowhere else."""

    feed: Feed
    value: str


def create(*, by: Acting) -> Issued:
    """A new address for oneself; the one before opens nothing from then on."""
    if by.auth != "session":
        raise NotAllowed("A feed is made by a person in a browser; nothing was made.")
    value = secrets.token_urlsafe(32)
    with transaction.atomic():
        for old in Feed.objects.select_for_update().filter(user=by.user, revoked_at=None):
            _end(old, by=by)
        feed = Feed.objects.create(user=by.user, sha256=fingerprint(value))
        record("feed.created", of=feed, subject=f"account:{by.user.pk}", actor=by.actor, feed=str(feed.pk))
    return Issued(feed, value)


def revoke(*, by: Acting) -> None:
    """End one's own address."""
    with transaction.atomic():
        feed = current(by.user)
        if feed is None:
            raise NotFound("You have no calendar feed; nothing was changed.")
        _end(feed, by=by)


def current(user: User) -> Feed | None:
    return Feed.objects.filter(user=user, revoked_at=None).first()


def reader(value: str) -> User | None:
    """Whose calendar this secret opens; None when it is unknown, revoked, or its person is no longer active."""
    found = Feed.objects.select_related("user").filter(sha256=fingerprint(value), revoked_at=None).first()
    return found.user if found is not None and found.user.is_active else None


def _end(feed: Feed, *, by: Acting) -> None:
    row = Feed.objects.filter(pk=feed.pk, version=feed.version, revoked_at=None)
    if row.update(revoked_at=Now(), version=F("version") + 1):
        feed.refresh_from_db()
        record("feed.revoked", of=feed, subject=f"account:{by.user.pk}", actor=by.actor, feed=str(feed.pk))
