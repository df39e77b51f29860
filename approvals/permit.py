"""The permit: the signed record of why a run may run. Written once, at the first start; checked at each later one.

It must never be made by anything but the gate.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from approvals import emergency, keys
from approvals.models import Chain, Permit
from audit.canonical import canonical, parse

LIFETIME = timedelta(hours=24)  # a run that is not done by then needs a person to look at it


def lifetime(*, is_emergency: bool) -> timedelta:
    """How long a permit lets further steps start."""
    return emergency.LIFETIME if is_emergency else LIFETIME


def issue(
    *, run_id: UUID, chain: Chain | None, document: Mapping[str, Any], at: datetime, expires_at: datetime
) -> Permit:
    """Sign and store the permit, in the transaction of the first claim. Without a chain it lets plan steps read."""
    signature = keys.sign("permit", document)
    return Permit.objects.create(
        run_id=run_id,
        chain=chain,
        purpose=purpose_of(document),
        subject=document["digest"],
        document=canonical(document),
        signature=signature,
        key_id=keys.key_id(signature),
        issued_at=at,
        expires_at=expires_at,
    )


def read(permit: Permit) -> dict[str, Any] | None:
    """The document, if our key signed exactly these bytes and the row says the same; else None."""
    document: dict[str, Any] = parse(bytes(permit.document))
    if not keys.verify("permit", document, permit.signature):
        return None
    said = (document["run"], document["chain"], document["digest"], purpose_of(document))
    chain = str(permit.chain_id) if permit.chain_id else None
    return document if said == (str(permit.run_id), chain, permit.subject, permit.purpose) else None


def purpose_of(document: Mapping[str, Any]) -> str:
    """What it lets start: only a plan's permit says so, every other is for what was signed off."""
    return str(document.get("purpose", Permit.Purpose.APPLY))
