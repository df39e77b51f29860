"""Sessions in the database, each with its account: listed on the profile, ended with the account."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.db import transaction
from django.http import HttpRequest

from accounts.acting import Acting
from accounts.bearer import client_address
from accounts.models import User, UserSession
from audit.ledger.record import record
from audit.refusals import NotFound


class SessionStore(DatabaseStore):
    """Django's own store, on our table."""

    @classmethod
    def get_model_class(cls) -> type[UserSession]:
        return UserSession

    def create_model_instance(self, data: dict[str, Any]) -> UserSession:
        session = super().create_model_instance(data)
        session.user_id = data.get(SESSION_KEY)  # type: ignore[attr-defined]  # our model, named above
        return session  # type: ignore[return-value]


@dataclass(frozen=True)
class SignedIn:
    """A browser that is signed in, as its owner may see it: never the key."""

    handle: str
    since: datetime | None
    address: str
    agent: str
    current: bool


def note_origin(request: HttpRequest, *, at: datetime) -> None:
    """What the owner needs to recognise this browser in the list."""
    agent = request.headers.get("User-Agent", "")[:200]
    request.session.update({"since": at.isoformat(), "address": client_address(request), "agent": agent})


def forget(*, at: datetime) -> int:
    """Drop the sessions that are over; how many."""
    return UserSession.objects.filter(expire_date__lte=at).delete()[0]


def signed_in(user: User, *, current: str, at: datetime) -> list[SignedIn]:
    """Where this account is signed in; the browser that asks first."""
    rows = UserSession.objects.filter(user=user, expire_date__gt=at)
    seen = [_seen(row, current) for row in rows]
    return sorted(seen, key=lambda one: (not one.current, one.handle))


def end(by: Acting, handle: str) -> None:
    """Sign out one of one's own browsers. NotFound for somebody else's."""
    for row in UserSession.objects.filter(user=by.user):
        if row.handle == handle:
            with transaction.atomic():
                row.delete()
                record("session.ended", of=None, subject=f"account:{by.user.pk}", actor=by.actor)
            return
    raise NotFound("There is no such session of yours; nothing was ended.")


def _seen(row: UserSession, current: str) -> SignedIn:
    data = row.get_decoded()
    since = data.get("since")
    return SignedIn(
        handle=row.handle,
        since=datetime.fromisoformat(since) if since else None,
        address=data.get("address", ""),
        agent=data.get("agent", ""),
        current=row.session_key == current,
    )
