"""Signed notes (C2SP signed-note) with Ed25519: a text, an empty line, one line for each signature.

The only module that holds the ledger's signing key. It never makes a second key for a log that has one.
"""

import base64
import binascii
import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ED25519 = b"\x01"  # the algorithm's byte in key ids and verifier keys


class BadNote(ValueError):
    """The note is malformed, or none of its signatures is by the key asked for."""


@dataclass(frozen=True)
class Verifier:
    """A public key and the name it signs under; its text form is what others pin."""

    name: str
    key: bytes

    @property
    def id(self) -> bytes:
        return hashlib.sha256(self.name.encode() + b"\n" + ED25519 + self.key).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(ED25519 + self.key).decode()}"


@dataclass(frozen=True)
class Signer:
    """A private key and the name it signs under."""

    name: str
    key: Ed25519PrivateKey

    @property
    def verifier(self) -> Verifier:
        return Verifier(self.name, self.key.public_key().public_bytes_raw())

    def sign(self, text: str) -> str:
        """The whole note: the text, which ends in a newline, and one signature."""
        if not text.endswith("\n"):
            raise ValueError("the text of a note ends in a newline")
        signature = base64.b64encode(self.verifier.id + self.key.sign(text.encode())).decode()
        return f"{text}\n\N{EM DASH} {self.name} {signature}\n"


def opened(note: str, verifier: Verifier) -> str:
    """The text of a note that `verifier` signed; BadNote otherwise. Signatures of others are passed over."""
    text, separator, signatures = note.rpartition("\n\n")
    if not separator or not signatures.endswith("\n"):
        raise BadNote("this is not a signed note")
    text += "\n"
    for line in signatures.splitlines():
        if _signed(line, text, verifier):
            return text
    raise BadNote(f"no signature by {verifier.name}+{verifier.id.hex()}")


def _signed(line: str, text: str, verifier: Verifier) -> bool:
    prefix = f"\N{EM DASH} {verifier.name} "
    if not line.startswith(prefix):
        return False
    try:
        blob = base64.b64decode(line.removeprefix(prefix), validate=True)
        if blob[:4] != verifier.id:
            return False
        Ed25519PublicKey.from_public_bytes(verifier.key).verify(blob[4:], text.encode())
    except (binascii.Error, InvalidSignature) as error:
        raise BadNote(f"the signature by {verifier.name} does not fit the text") from error
    return True


def parse_verifier(text: str) -> Verifier:
    """A verifier key from its text form `<name>+<id>+<base64>`."""
    try:
        name, key_id, encoded = text.strip().split("+", 2)  # base64 may hold a plus, a name never
        blob = base64.b64decode(encoded, validate=True)
    except (ValueError, binascii.Error) as error:
        raise BadNote("this is not a verifier key") from error
    verifier = Verifier(name, blob[1:])
    if blob[:1] != ED25519 or len(blob) != 33 or verifier.id.hex() != key_id:
        raise BadNote("the verifier key does not fit its id")
    return verifier


def load(path: Path, name: str) -> Signer:
    """The signer whose seed is in the file; FileNotFoundError when there is none."""
    seed = base64.b64decode(path.read_text().strip(), validate=True)
    return Signer(name, Ed25519PrivateKey.from_private_bytes(seed))


def make(path: Path, name: str) -> Signer:
    """A new signer, its seed in a new file that only the owner can read; FileExistsError where there is one."""
    key = Ed25519PrivateKey.generate()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".new-") as file:  # made for the owner alone
        file.write(base64.b64encode(key.private_bytes_raw()) + b"\n")
        file.flush()
        os.fsync(file.fileno())
        os.link(file.name, path)  # whole or not there, and never in the place of another
    return Signer(name, key)
