"""Step-up: the approval that a passkey has to prove, checked before it is stored.

It must never take an assertion for more than it signs, nor ask for a key before somebody may say no.
"""

from typing import TypeAlias, TypedDict

from accounts.acting import Acting
from approvals import passkeys
from approvals.models import Passkey, SignOff, Stage
from audit.canonical import Json
from audit.refusals import NotAllowed

Signed: TypeAlias = tuple[Passkey, passkeys.Presented]
APPROVING = {SignOff.Kind.APPROVE, SignOff.Kind.APPROVE_WITH_CONDITION}


class Stated(TypedDict):
    """What a person says, as far as a chain knows it."""

    digest: str
    chain_digest: str
    stage: str
    decision: str
    condition_digest: str


class PasskeyMissing(NotAllowed):
    """This stage counts only approvals that are signed with a passkey."""

    code = "passkey_missing"


class PasskeyWrong(NotAllowed):
    """The key is not one that this person can sign with, or it signed something else."""

    code = "passkey_wrong"


def check(stage: Stage, stated: Stated, given: passkeys.Presented | None, *, by: Acting) -> Signed | None:
    """A no never needs a key. An approval does where policy says so, and any key that is presented has to fit."""
    if given is None:
        if stage.signature == "passkey" and stated["decision"] in APPROVING:
            raise PasskeyMissing(
                f"{stage.name} counts only approvals that are signed with a passkey, so yours was not stored. Approve"
                " in a browser that can use your passkey; it is enrolled in your profile."
            )
        return None
    found = passkeys.usable(by.user, credential_id=given.assertion.credential_id)
    if not found:
        raise PasskeyWrong(
            "This passkey is not one of yours, or nobody has vouched for it yet, so your decision was not stored."
            " Your profile lists those that you can use."
        )
    statement = passkeys.Statement(change=given.change, revision=given.revision, **stated)
    if not passkeys.proves(statement, given.assertion, found[0]):
        raise PasskeyWrong(
            "Your passkey signed something else than this decision, so it was not stored. Reload the page and decide"
            " again."
        )
    return found[0], given


def proof(signed: Signed | None) -> dict[str, Json]:
    """What the entry keeps, so that it proves the decision without the database: docs/reference/ledger-format.md."""
    if signed is None:
        return {}
    passkey, given = signed
    return {
        "passkey": {
            "passkey": str(passkey.pk),
            "credential": passkey.credential_id,
            "public_key": passkey.public_key,
            "rp": passkey.rp_id,
            "change": given.change,
            "revision": given.revision,
            **given.assertion.kept,
        }
    }
