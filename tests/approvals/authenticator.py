"""An authenticator in software: makes keys and signs with them as a device would, and lies on request."""

import base64
import hashlib
import json
import struct
from typing import Any

from cbor2 import dumps
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from django.db import transaction

from accounts.models import User
from approvals import enrolment, passkeys
from approvals.clock import database_time
from approvals.models import Passkey
from audit.canonical import uuid7
from audit.ledger.entry import system
from audit.ledger.record import record

ORIGIN, HOST = "http://testserver", "testserver"
PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40
TEST = system("system:test")


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Authenticator:
    """One key on one device."""

    def __init__(
        self, *, algorithm: str = "ES256", flags: int = PRESENT | VERIFIED, host: str = HOST
    ) -> None:
        self.flags, self.host, self.id = flags, host, uuid7().bytes
        self.key = (
            ec.generate_private_key(ec.SECP256R1())
            if algorithm == "ES256"
            else ed25519.Ed25519PrivateKey.generate()
        )

    @property
    def cose(self) -> bytes:
        """The public key as the product stores it."""
        public = self.key.public_key()
        if isinstance(public, ed25519.Ed25519PublicKey):
            return dumps({1: 1, 3: -8, -1: 6, -2: public.public_bytes_raw()})
        numbers = public.public_numbers()
        return dumps(
            {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}
        )

    def create(self, challenge: str, *, origin: str = ORIGIN) -> dict[str, Any]:
        """What navigator.credentials.create() answers."""
        attested = bytes(16) + struct.pack(">H", len(self.id)) + self.id + self.cose
        data = self._data(self.flags | ATTESTED) + attested
        return self._told(
            clientDataJSON=b64(self._client("webauthn.create", challenge, origin)),
            attestationObject=b64(dumps({"fmt": "none", "attStmt": {}, "authData": data})),
        )

    def get(self, challenge: bytes, *, origin: str = ORIGIN) -> passkeys.Assertion:
        """What navigator.credentials.get() answers."""
        client, data = self._client("webauthn.get", b64(challenge), origin), self._data(self.flags)
        signed = data + hashlib.sha256(client).digest()
        if isinstance(self.key, ed25519.Ed25519PrivateKey):
            signature = self.key.sign(signed)
        else:
            signature = self.key.sign(signed, ec.ECDSA(hashes.SHA256()))
        return passkeys.Assertion(b64(self.id), b64(data), b64(client), b64(signature))

    def _told(self, **response: str) -> dict[str, Any]:
        return {"id": b64(self.id), "rawId": b64(self.id), "type": "public-key", "response": response}

    def _data(self, flags: int) -> bytes:
        return hashlib.sha256(self.host.encode()).digest() + bytes([flags]) + struct.pack(">I", 0)

    def _client(self, kind: str, challenge: str, origin: str) -> bytes:
        return json.dumps(
            {"type": kind, "challenge": challenge, "origin": origin, "crossOrigin": False}
        ).encode()


def asked(user: User, device: Authenticator, *, name: str = "Laptop") -> Passkey:
    """A key that its owner has enrolled and nobody has vouched for."""
    passkey = Passkey(
        person_id=user.person_id, user=user, credential_id=b64(device.id), public_key=b64(device.cose),
        rp_id=device.host, name=name, aaguid=uuid7(), sign_count=0, created_at=database_time(),
    )  # fmt: skip
    with transaction.atomic():
        passkey.save(force_insert=True)
        record("passkey.asked", of=passkey, subject=f"account:{user.pk}", actor=TEST)
    return passkey


def trusted(user: User, device: Authenticator) -> Passkey:
    """The same, vouched for at a terminal."""
    return enrolment.trust_at_terminal(asked(user, device), by=TEST)
