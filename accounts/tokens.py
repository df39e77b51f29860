"""Keys of machines: `cs_<prefix>_<secret>`, shown once, kept as SHA-256. A token never signs off.

A token that makes a token makes one that is neither wider nor longer-lived than itself; one of a machine goes no
higher than the machine's ceiling (accounts/ceiling.py).
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from accounts.acting import Acting
from accounts.models import Token, User
from audit.ledger.entry import Actor
from audit.ledger.record import record
from audit.refusals import Invalid, NotAllowed, Refusal

SCOPES = (
    "changes:read",
    "changes:write",
    "runs:write",
    "deployments:write",
    "secrets:write",
    "audit:read",
    "reports:read",
    "admin",
)
READING = ("changes:read", "audit:read", "reports:read")  # the ceiling of a new machine
MAX_LIFE = timedelta(days=365)
SEEN_EVERY = timedelta(minutes=1)  # `last_used_at` is a hint, not worth a write per request


class AlreadyRevoked(Refusal):
    """The token was ended before."""

    code = "already_revoked"


class BeyondCeiling(NotAllowed):
    """No token of this machine may have this scope; a governed act widens its ceiling."""

    code = "beyond_ceiling"


@dataclass(frozen=True)
class Issued:
    """A new token and its value, which is nowhere else and is shown once."""

    token: Token
    value: str


def create(
    *, user: User, name: str, scopes: list[str], expires_at: datetime, by: Acting, at: datetime
) -> Issued:
    """A token for oneself, or for a service account that one answers for."""
    _check_scopes(scopes, by)
    _check_life(expires_at, by, at)
    if not answers_for(by.user, user):
        raise NotAllowed(f"{user.name} is not an account you answer for; no token was made.")
    _check_ceiling(scopes, user)
    prefix = secrets.token_hex(4)
    value = f"cs_{prefix}_{secrets.token_urlsafe(32)}"
    with transaction.atomic():
        token = Token.objects.create(
            user=user,
            name=name,
            prefix=prefix,
            sha256=fingerprint(value),
            scopes=sorted(set(scopes)),
            expires_at=expires_at,
        )
        _record("token.created", token, by.actor)
    return Issued(token, value)


def revoke(token: Token, *, by: Acting) -> None:
    """End a token of one's own, or of a service account that one answers for."""
    if not answers_for(by.user, token.user):
        raise NotAllowed("This is not your token; it was not revoked.")
    with transaction.atomic():
        end(token, by=by.actor)


def end(token: Token, *, by: Actor) -> None:
    """The guarded UPDATE and its entry, in the caller's transaction."""
    row = Token.objects.filter(pk=token.pk, version=token.version, revoked_at=None)
    if not row.update(revoked_at=Now(), version=F("version") + 1):
        raise AlreadyRevoked(f"The token {token.name} was revoked before; nothing was changed.")
    token.refresh_from_db()
    _record("token.revoked", token, by)


def find(value: str) -> Token | None:
    """The token of this value, whatever its state; looked up by hash, so timing tells nothing."""
    return Token.objects.select_related("user").filter(sha256=fingerprint(value)).first()


def why_not(token: Token, *, at: datetime) -> str:
    """Why this token opens nothing now; empty when it does."""
    if token.revoked_at is not None:
        return "This token was revoked."
    if token.expires_at <= at:
        return "This token has expired."
    return "" if token.user.is_active else "The account of this token is inactive."


def seen(token: Token, *, at: datetime) -> None:
    """Note that it was used."""
    if token.last_used_at is None or token.last_used_at < at - SEEN_EVERY:
        Token.objects.filter(pk=token.pk).update(last_used_at=at)


def fingerprint(value: str) -> str:
    """What is kept of a value: 256 random bits need no salt and no slow hash."""
    return hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()


def answers_for(person: User, user: User) -> bool:
    """Whether the account is one's own, or a machine of the same person."""
    if user.pk == person.pk:
        return True
    return user.kind == User.Kind.SERVICE and user.person_id == person.person_id


def _check_scopes(scopes: list[str], by: Acting) -> None:
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        words = f"Unknown: {', '.join(unknown)}." if unknown else "Choose at least one scope."
        raise Invalid(f"No token was made. {words}", errors=[{"pointer": "/scopes", "detail": words}])
    if by.token is not None and not set(scopes) <= by.token.usable:
        raise NotAllowed("A token cannot make a wider one; no token was made.")
    if "admin" in scopes and not by.user.is_superuser:
        raise NotAllowed("Only an administrator can make a token with the scope admin; no token was made.")


def _check_ceiling(scopes: list[str], user: User) -> None:
    """For a clear answer only: what counts is the ceiling at each use (accounts/bearer.py)."""
    if beyond := sorted(set(scopes) - user.within_ceiling(scopes)):
        raise BeyondCeiling(
            f"No token of {user.name} may have {', '.join(beyond)}; no token was made. Ask for it: account-scopes."
        )


def _check_life(expires_at: datetime, by: Acting, at: datetime) -> None:
    if not at < expires_at <= at + MAX_LIFE:
        words = "The expiry must lie ahead, at most a year."
        raise Invalid(f"No token was made. {words}", errors=[{"pointer": "/expires_at", "detail": words}])
    if by.token is not None and expires_at > by.token.expires_at:
        raise NotAllowed("A token cannot make one that outlives it; no token was made.")


def _record(kind: str, token: Token, by: Actor) -> None:
    record(
        kind,
        of=token,
        subject=f"token:{token.prefix}",
        actor=by,
        account=str(token.user_id),
        scopes=list(token.scopes),
        expires_at=token.expires_at.isoformat(),
    )
