"""What a browser is told before it makes a passkey or signs with one, and what it answers.

Both doors, page and API, call it with their request. It must never accept an answer to another session's challenge.
"""

from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from rest_framework.request import Request
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url

from accounts.acting import Acting, acting
from approvals import enrolment, passkeys
from approvals.enrolment import Place
from approvals.models import Passkey
from audit.refusals import Refusal

CHALLENGE = "passkey_challenge"  # in the session, for one answer


class NoPasskey(Refusal):
    """The person has no key that could sign here."""

    code = "no_passkey"


def begin(request: HttpRequest | Request) -> dict[str, Any]:
    """What the browser is told; its challenge waits in the session for one answer."""
    told = enrolment.options(place=place(request), by=acting(request))
    request.session[CHALLENGE] = told["challenge"]
    return told


def enrol(request: HttpRequest | Request, *, credential: dict[str, Any], name: str) -> Passkey:
    """What the browser answered, held against the challenge that this session was given."""
    challenge = request.session.pop(CHALLENGE, "")
    since = request.session.get("since")
    return enrolment.enrol(
        credential=credential,
        challenge=base64url_to_bytes(challenge),
        name=name,
        place=place(request),
        signed_in_at=datetime.fromisoformat(since) if since else None,
        by=acting(request),
    )


def to_sign(
    request: HttpRequest | Request,
    *,
    change: str,
    revision: int,
    stage: UUID,
    decision: str,
    digest: str,
    chain_digest: str,
    condition: str,
    by: Acting,
) -> dict[str, Any]:
    """The challenge of one decision as the person is about to take it, and the keys that they can sign it with."""
    host = place(request).host
    usable = passkeys.usable(by.user, host=host)
    if not usable:
        raise NoPasskey(
            f"You have no trusted passkey for {host}, so nothing was signed. Enrol one in your profile; somebody else"
            " has to vouch for it."
        )
    statement = passkeys.Statement(
        change=change, revision=revision, digest=digest, chain_digest=chain_digest, stage=str(stage),
        decision=decision, condition_digest=passkeys.digest_of_text(condition.strip()),
    )  # fmt: skip
    return {
        "challenge": bytes_to_base64url(statement.challenge),
        "rp_id": host,
        "credentials": [one.credential_id for one in usable],
        "statement": asdict(statement),
    }


def place(request: HttpRequest | Request) -> Place:
    """The host without its port is what a passkey belongs to."""
    host = request.get_host()
    return Place(host=host.rpartition(":")[0] or host, origin=f"{request.scheme}://{host}")
