"""What a passkey signs, and whether it did: WebAuthn with a challenge that is the hash of exactly what is decided.

Pure but for the keys and one question to the database. Whoever asks, the web server or the worker, gets the same
answer from the same bytes. It must never take a state or a flag in the database for trust: a signature says it.
"""

import hashlib
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from webauthn import verify_authentication_response
from webauthn.helpers import base64url_to_bytes, parse_client_data_json
from webauthn.helpers.exceptions import WebAuthnException

from accounts.models import User
from approvals import keys
from approvals.models import Passkey, SignOff
from audit.canonical import canonical

DOMAIN = b"countersign/sign-off/v1"


@dataclass(frozen=True, kw_only=True)
class Statement:
    """Exactly what is decided. The condition stands by its digest, so that the ledger's entry alone proves it."""

    change: str  # its id
    revision: int
    digest: str
    chain_digest: str
    stage: str
    decision: str
    condition_digest: str

    @property
    def challenge(self) -> bytes:
        """What the authenticator signs."""
        return hashlib.sha256(DOMAIN + b"\0" + canonical(asdict(self))).digest()


@dataclass(frozen=True)
class Assertion:
    """What a browser sends of navigator.credentials.get(), each part in base64url."""

    credential_id: str
    authenticator_data: str
    client_data: str
    signature: str

    @property
    def kept(self) -> dict[str, str]:
        """What is stored beside the key that it was made with."""
        return {
            "authenticator_data": self.authenticator_data,
            "client_data": self.client_data,
            "signature": self.signature,
        }


@dataclass(frozen=True)
class Presented:
    """An assertion with the revision that it is about, which a chain does not know."""

    change: str
    revision: int
    assertion: Assertion


def proves(statement: Statement, assertion: Assertion, passkey: Passkey) -> bool:
    """Whether this key, with its person verified by the authenticator, signed exactly this statement."""
    try:
        origin = parse_client_data_json(base64url_to_bytes(assertion.client_data)).origin
        verify_authentication_response(
            credential=_credential(assertion),
            expected_challenge=statement.challenge,
            expected_rp_id=passkey.rp_id,
            expected_origin=origin,
            credential_public_key=base64url_to_bytes(passkey.public_key),
            credential_current_sign_count=0,  # synced passkeys do not count; a replay fails by its challenge
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError, KeyError, TypeError):
        return False
    return assertion.credential_id == passkey.credential_id and _belongs(origin, passkey.rp_id)


def is_trusted(passkey: Passkey) -> bool:
    """Whether the workers' key vouches for exactly this key of exactly this person, and nobody has revoked it."""
    return passkey.state == Passkey.State.TRUSTED and keys.verify("trust", vouched(passkey), passkey.trust)


def vouched(passkey: Passkey) -> dict[str, str]:
    """What trust in a key means."""
    return {
        "passkey": str(passkey.pk),
        "credential": passkey.credential_id,
        "public_key": passkey.public_key,
        "rp": passkey.rp_id,
        "person": str(passkey.person_id),
        "account": str(passkey.user_id),
    }


def stated(sign_off: SignOff, *, change: str, revision: int) -> Statement:
    """What this row says was decided, about this revision."""
    return Statement(
        change=change,
        revision=revision,
        digest=sign_off.subject,
        chain_digest=sign_off.chain_digest,
        stage=str(sign_off.stage_id),
        decision=str(sign_off.decision),
        condition_digest=digest_of_text(sign_off.condition),
    )


def is_proved(sign_off: SignOff, *, change: str, revision: int) -> bool:
    """Whether a trusted passkey of the very person whom the row names signed exactly what it says."""
    passkey = sign_off.passkey
    if passkey is None or not sign_off.assertion or not is_trusted(passkey):
        return False
    if (passkey.person_id, passkey.user_id) != (sign_off.person_id, sign_off.user_id):
        return False
    assertion = Assertion(credential_id=passkey.credential_id, **sign_off.assertion)
    return proves(stated(sign_off, change=change, revision=revision), assertion, passkey)


def digest_of_text(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def usable(user: User, *, host: str | None = None, credential_id: str | None = None) -> list[Passkey]:
    """The keys with which this account can sign; of this host, or this one."""
    rows = Passkey.objects.filter(user=user, person_id=user.person_id, state=Passkey.State.TRUSTED)
    rows = rows.filter(rp_id=host) if host is not None else rows
    rows = rows.filter(credential_id=credential_id) if credential_id is not None else rows
    return [one for one in rows.order_by("created_at") if is_trusted(one)]


def holders(persons: Collection[UUID]) -> set[UUID]:
    """Which of these people hold a key that is trusted."""
    rows = Passkey.objects.filter(
        person_id__in=list(persons), state=Passkey.State.TRUSTED, user__is_active=True
    )
    return {row.person_id for row in rows if is_trusted(row)}


def _credential(assertion: Assertion) -> dict[str, Any]:
    """The shape in which a browser tells it."""
    return {
        "id": assertion.credential_id,
        "rawId": assertion.credential_id,
        "type": "public-key",
        "response": {
            "authenticatorData": assertion.authenticator_data,
            "clientDataJSON": assertion.client_data,
            "signature": assertion.signature,
        },
    }


def _belongs(origin: str, rp_id: str) -> bool:
    """A page of this host, or of a host below it: the browser has held to the same rule."""
    host = urlsplit(origin).hostname or ""
    return host == rp_id or host.endswith(f".{rp_id}")
