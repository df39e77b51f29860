"""Sessions in the database, each with its account: listed on the profile, ended with the account."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.db import transaction
from django.http import HttpRequest

from accounts.acting import Acting
from accounts.bearer import client_address
from accounts.models import User, UserSession
from audit.canonical import uuid7
from audit.ledger.entry import Actor
from audit.ledger.record import record, timestamp
from audit.refusals import NotFound


class SessionStore(DatabaseStore):
    """Django's own store, on our table."""

    @classmethod
    def get_model_class(cls) -> type[UserSession]:
        return UserSession

    def create_model_instance(self, data: dict[str, Any]) -> UserSession:
        session = super().create_model_instance(data)
        session.user_id = data.get(SESSION_KEY)  # type: ignore[attr-defined]  # our model, named above
        if "since" in data:  # nothing that is stored in it later moves its end
            session.expire_date = min(session.expire_date, _end(data["since"]))
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
    """What the owner needs to recognise this browser in the list, and a name for the log that opens nothing."""
    agent = request.headers.get("User-Agent", "")[:200]
    request.session.update({"since": at.isoformat(), "address": client_address(request), "agent": agent})
    request.session["id"] = str(uuid7())


def begun(request: HttpRequest) -> dict[str, str]:
    """What its entry tells: its name, which stays whatever its key is, and its end."""
    return {"session": request.session["id"], "expires_at": timestamp(_end(request.session["since"]))}


def end_all(user: User, *, by: Actor) -> None:
    """All that an account has, with an entry each; in the caller's transaction."""
    for row in UserSession.objects.filter(user=user):
        row.delete()
        tell_end(user, row.get_decoded().get("id"), by=by)


def tell_end(user: User, session: str | None, *, by: Actor) -> None:
    """Sessions that began before they had a name end without one."""
    told = {"session": session} if session else {}
    record("session.ended", of=None, subject=f"account:{user.pk}", actor=by, **told)


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
                tell_end(by.user, row.get_decoded().get("id"), by=by.actor)
            return
    raise NotFound("There is no such session of yours; nothing was ended.")


def _end(since: str) -> datetime:
    return datetime.fromisoformat(since) + timedelta(seconds=settings.SESSION_COOKIE_AGE)


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
