"""Enrolling passkeys: asked for in the browser, trusted by a worker or at a terminal, revoked by their owner.

The only writer of passkeys. Trust is a signature that the web server cannot make. It must never trust a key because
a row says so, nor let somebody vouch for a key of their own.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F
from webauthn import (
    generate_registration_options,
    verify_registration_response,
)
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url, options_to_json_dict
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)
from webauthn.registration.verify_registration_response import VerifiedRegistration

from accounts.acting import Acting
from accounts.models import User
from approvals import keys, passkeys
from approvals.clock import database_time
from approvals.models import Chain, Passkey, SignOff
from audit.canonical import digest, parse
from audit.ledger.entry import Actor
from audit.ledger.record import record
from audit.refusals import Invalid, MoveNotAllowed, NotAllowed, NotFound, Refusal, StaleVersion

S = Passkey.State
RECENT = timedelta(minutes=15)
MAX_KEYS = 10  # of one person, revoked ones aside
MAX_NAME = 100


class LoginTooOld(NotAllowed):
    """A key is enrolled soon after signing in: an open browser that somebody walked up to is not enough."""

    code = "login_too_old"


class PasskeyNotMade(Invalid):
    """What the browser sent is no new passkey for this page."""

    code = "passkey_not_made"


class NobodyVouched(Refusal):
    """Nobody else, with a trusted passkey of their own, has signed for this key."""

    code = "nobody_vouched"


@dataclass(frozen=True)
class Place:
    """The page on which a ceremony takes place: browsers bind a passkey to its host."""

    host: str
    origin: str


def options(*, place: Place, by: Acting) -> dict[str, Any]:
    """What navigator.credentials.create() is told; its challenge is kept by the door until the answer comes."""
    _check_person(by)
    mine = Passkey.objects.filter(user=by.user).exclude(state=S.REVOKED)
    known = [PublicKeyCredentialDescriptor(id=base64url_to_bytes(one.credential_id)) for one in mine]
    made = generate_registration_options(
        rp_id=place.host,
        rp_name=settings.ORGANISATION,
        user_id=by.user.pk.bytes,
        user_name=by.user.username,
        user_display_name=by.user.name,
        exclude_credentials=known,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.PREFERRED,
            user_verification=UserVerificationRequirement.REQUIRED,
        ),
    )
    return dict(options_to_json_dict(made))


def enrol(
    *,
    credential: Mapping[str, Any],
    challenge: bytes,
    name: str,
    place: Place,
    signed_in_at: datetime | None,
    by: Acting,
) -> Passkey:
    """Store a key that counts for nothing yet; somebody else has to vouch for it."""
    _check_person(by)
    _check_recent(signed_in_at)
    name = _name(name)
    made = _verified(credential, challenge, place)
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(
            pk=by.user.pk
        )  # two tabs must not pass the limit together
        _check_room(by)
        passkey = Passkey(
            person_id=by.user.person_id,
            user=by.user,
            credential_id=bytes_to_base64url(made.credential_id),
            public_key=bytes_to_base64url(made.credential_public_key),
            rp_id=place.host,
            name=name,
            aaguid=UUID(made.aaguid),
            sign_count=made.sign_count,
            created_at=database_time(),
        )
        try:
            with transaction.atomic():
                passkey.save(force_insert=True)
        except IntegrityError as error:
            raise PasskeyNotMade(
                "This passkey is enrolled already, so nothing was stored. Use another."
            ) from error
        _record("passkey.asked", passkey, by=by.actor)
    return passkey


def trust_at_terminal(passkey: Passkey, *, by: Actor) -> Passkey:
    """The root of all trust in passkeys: somebody at a terminal that holds the workers' key vouches for this one."""
    return _trust(passkey, by=by, vouched_by=[])


def trust_passkey(passkey_id: str, *, chain_id: UUID, document: bytes, by: Actor) -> Passkey:
    """The governed act `passkey.enrol`, run by a worker: `document` is what was signed off, `chain_id` by whom.

    Kernel rule: at least one who approved did so with a trusted passkey and is another person. Running it twice
    changes nothing.
    """
    passkey = Passkey.objects.filter(pk=passkey_id).first()
    if passkey is None:
        raise NotFound("There is no such passkey; nothing was trusted.")
    if passkeys.is_trusted(passkey):
        return passkey
    chain = Chain.objects.get(pk=chain_id)
    return _trust(passkey, by=by, vouched_by=list(_vouching(passkey, chain, document)))


def revoke(passkey_id: UUID, *, by: Acting) -> Passkey:
    """One's own key ends at once. What it signed stays signed; a run that has not started needs another sign-off."""
    with transaction.atomic():
        passkey = Passkey.objects.select_for_update(no_key=True).filter(pk=passkey_id, user=by.user).first()
        if passkey is None:
            raise NotFound("You have no such passkey; nothing was revoked.")
        if passkey.state == S.REVOKED:
            raise MoveNotAllowed("This passkey is revoked already.")
        _move(passkey, S.REVOKED, by=by.actor)
    return passkey


def mine(by: Acting) -> list[Passkey]:
    """One's own keys, newest first."""
    return list(Passkey.objects.filter(user=by.user).order_by("-created_at"))


def _trust(passkey: Passkey, *, by: Actor, vouched_by: list[str]) -> Passkey:
    if passkey.state == S.REVOKED:
        raise MoveNotAllowed("This passkey is revoked; its owner enrols another.")
    if not vouched_by and by.kind != "system":
        raise NobodyVouched("A passkey is trusted by a governed act or at a terminal; nothing was done.")
    trust = keys.sign("trust", passkeys.vouched(passkey))
    with transaction.atomic():
        _move(passkey, S.TRUSTED, by=by, trust=trust, vouched_by=vouched_by)
    return passkey


def _vouching(passkey: Passkey, chain: Chain, document: bytes) -> Iterable[str]:
    """The sign-offs of others that vouch for this key, each proved by a passkey that is trusted itself."""
    said = parse(document)
    if digest("countersign/change/v1", said) != chain.subject or str(passkey.pk) not in str(said["inputs"]):
        raise NobodyVouched("What was signed off does not name this passkey, so it was not trusted.")
    given = chain.sign_offs.filter(withdrawn_at=None, passkey__isnull=False).select_related("passkey")
    found = [
        str(one.pk)
        for one in given
        if one.person_id != passkey.person_id and one.approves and _is_proved(one, said)
    ]
    if not found:
        raise NobodyVouched(
            "Nobody else approved this with a trusted passkey of their own, so it was not trusted. Ask somebody who"
            " has one, or trust the first at a terminal: manage.py passkey trust."
        )
    return found


def _is_proved(sign_off: SignOff, document: Mapping[str, Any]) -> bool:
    return passkeys.is_proved(sign_off, change=document["change"], revision=document["revision"])


def _check_person(by: Acting) -> None:
    if by.auth != "session" or by.user.kind != User.Kind.PERSON:
        raise NotAllowed("A passkey belongs to a person in a browser; nothing was done.")


def _check_recent(signed_in_at: datetime | None) -> None:
    if signed_in_at is None or database_time() - signed_in_at > RECENT:
        raise LoginTooOld(
            "You signed in more than 15 minutes ago, so no passkey was stored. Sign out, sign in, and enrol it then."
        )


def _check_room(by: Acting) -> None:
    if Passkey.objects.filter(user=by.user).exclude(state=S.REVOKED).count() >= MAX_KEYS:
        raise PasskeyNotMade(
            f"You have {MAX_KEYS} passkeys; nothing was stored. Revoke one that you do not use."
        )


def _name(name: str) -> str:
    name = name.strip()
    if not 1 <= len(name) <= MAX_NAME:
        detail = f"Give the passkey a name of at most {MAX_NAME} letters."
        raise PasskeyNotMade(
            f"No passkey was stored. {detail}", errors=[{"pointer": "/name", "detail": detail}]
        )
    return name


def _verified(credential: Mapping[str, Any], challenge: bytes, place: Place) -> VerifiedRegistration:
    try:
        return verify_registration_response(
            credential=dict(credential),
            expected_challenge=challenge,
            expected_rp_id=place.host,
            expected_origin=place.origin,
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError, KeyError, TypeError) as error:
        raise PasskeyNotMade(
            "What the browser sent is no new passkey for this page, so nothing was stored. Reload the page and try"
            " again, with a device that asks for your PIN, finger or face."
        ) from error


def _move(passkey: Passkey, to: Passkey.State, *, by: Actor, trust: str = "", **told: Any) -> None:
    """The guarded UPDATE and its entry."""
    was = passkey.state
    columns = {"state": to, **({"trust": trust} if trust else {})}
    seen = Passkey.objects.filter(pk=passkey.pk, state=was, version=passkey.version)
    if not seen.update(**columns, version=F("version") + 1):
        raise StaleVersion("This passkey was changed at the same moment; nothing was done. Reload the page.")
    passkey.refresh_from_db()
    signed = {"trust": trust} if trust else {}
    _record(f"passkey.{to}", passkey, by=by, was=was, **signed, **told)


def _record(kind: str, passkey: Passkey, *, by: Actor, **told: Any) -> None:
    record(
        kind, of=passkey, subject=f"account:{passkey.user_id}", actor=by, passkey=str(passkey.pk),
        credential=passkey.credential_id, public_key=passkey.public_key, rp=passkey.rp_id,
        person=str(passkey.person_id), account=str(passkey.user_id), **told,
    )  # fmt: skip
