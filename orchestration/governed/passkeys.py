"""The act by which a passkey becomes trusted: somebody else vouches, with a trusted passkey of their own."""

from typing import Any, ClassVar
from uuid import UUID

from approvals import enrolment, passkeys
from approvals.models import Passkey
from audit.ledger.entry import Actor
from orchestration.governed.act import Act, Faults, Given, chosen, requested_by


class EnrolPasskey(Act):
    name = "passkey.enrol"
    title = "Trust a passkey"
    summary = "Trust the passkey {{inputs.passkey}} of {{inputs.account}}"
    description = (
        "From then on it signs for its owner where policy demands a passkey. Whoever approves vouches that the key is"
        " the owner's, and does so with a trusted passkey of their own: ask the owner, not the page."
    )
    inputs: ClassVar = {"account": chosen("Owner", "accounts"), "passkey": chosen("Passkey", "passkeys")}

    def faults(self, given: Given) -> Faults:
        found = _found(given)
        if found is None:
            return {"passkey": "There is no such passkey."}
        if found.user.username != given["account"]:  # what is signed must say whose key it is
            return {"passkey": "It is not a passkey of this account."}
        return {"passkey": "It is revoked."} if found.state == Passkey.State.REVOKED else {}

    def concerns(self, given: Given) -> frozenset[UUID]:
        found = _found(given)
        return frozenset({found.user_id} if found else ())

    def holds(self, given: Given) -> bool:
        found = _found(given)
        return found is not None and passkeys.is_trusted(found)

    def perform(self, given: Given, prepared: Any, *, by: Actor) -> None:
        """What was signed off is read again from the change itself, which the worker's gate has let start."""
        revision = requested_by(by).revision
        if revision is not None:
            enrolment.trust_passkey(
                given["passkey"], chain_id=revision.chain_id, document=bytes(revision.document), by=by
            )


def _found(given: Given) -> Passkey | None:
    try:
        return Passkey.objects.filter(pk=UUID(given["passkey"])).first()
    except ValueError:
        return None
