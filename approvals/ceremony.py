"""The two ends of enrolment in a browser: what it is told, and what it answers to exactly that, once.

Both doors, page and API, call it with their request. It must never accept an answer to another session's challenge.
"""

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from rest_framework.request import Request
from webauthn.helpers import base64url_to_bytes

from accounts.acting import acting
from approvals import enrolment
from approvals.enrolment import Place
from approvals.models import Passkey

CHALLENGE = "passkey_challenge"  # in the session, for one answer


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


def place(request: HttpRequest | Request) -> Place:
    """The host without its port is what a passkey belongs to."""
    host = request.get_host()
    return Place(host=host.rpartition(":")[0] or host, origin=f"{request.scheme}://{host}")
