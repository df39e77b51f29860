"""Signed notes (C2SP signed-note) with Ed25519: a text, an empty line, one line for each signature.

Arithmetic on texts and keys: who holds the log's key is `signer.py`'s business.
"""

import base64
import binascii
import hashlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ED25519 = b"\x01"  # the algorithm's byte in key ids and verifier keys
ADDED, RETIRED = "key.added", "key.retired"  # what one key of a log says of another
WORDS = {ADDED: "countersign/key-added/v1", RETIRED: "countersign/key-retired/v1"}


class BadNote(ValueError):
    """The note is malformed, or none of its signatures is by the key asked for."""


@dataclass(frozen=True)
class Verifier:
    """A public key, the name it signs under, and for which sizes of the log; its text form is what others pin."""

    name: str
    key: bytes
    begin: int = 0
    end: int | None = None

    @property
    def id(self) -> bytes:
        return hashlib.sha256(self.name.encode() + b"\n" + ED25519 + self.key).digest()[:4]

    def covers(self, size: int) -> bool:
        """Whether it signs a log of this size: from `begin` on, before `end`."""
        return self.begin <= size and (self.end is None or size < self.end)

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
        return f"{text}\n{self.line(text)}"

    def line(self, text: str) -> str:
        """The signature alone, for a note that bears more than one."""
        if not text.endswith("\n"):
            raise ValueError("the text of a note ends in a newline")
        signature = base64.b64encode(self.verifier.id + self.key.sign(text.encode())).decode()
        return f"\N{EM DASH} {self.name} {signature}\n"


def opened(note: str, *keys: Verifier) -> str:
    """The text of a note that one of the keys signed; BadNote otherwise. Signatures of others are passed over."""
    return read(note, *keys)[0]


def read(note: str, *keys: Verifier) -> tuple[str, list[Verifier]]:
    """The text, and which of the keys signed it; BadNote where none did, or where a signature does not fit."""
    text, separator, signatures = note.rpartition("\n\n")
    if not separator or not signatures.endswith("\n"):
        raise BadNote("this is not a signed note")
    text += "\n"
    signed = [key for line in signatures.splitlines() for key in keys if _signed(line, text, key)]
    if not signed:
        names = ", ".join(f"{key.name}+{key.id.hex()}" for key in keys)
        raise BadNote(f"no signature by {names or 'a known key'}")
    return text, signed


def word(kind: str, of: Verifier) -> str:
    """What one key of a log says of another, as a text that no checkpoint begins with."""
    since = f"{of.begin}\n" if kind == ADDED else ""
    return f"{WORDS[kind]}\n{of.name}\n{of}\n{since}"


def gave_word(kind: str, of: Verifier, signature: str, by: Verifier) -> bool:
    """Whether this is the one key's signature over what it says of the other."""
    text = word(kind, of)
    try:
        return bool(read(f"{text}\n\N{EM DASH} {by.name} {signature}\n", by))
    except BadNote:
        return False


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


def parse_verifier(text: str, begin: int = 0, end: int | None = None) -> Verifier:
    """A verifier key from its text form `<name>+<id>+<base64>`."""
    try:
        name, key_id, encoded = text.strip().split("+", 2)  # base64 may hold a plus, a name never
        blob = base64.b64decode(encoded, validate=True)
    except (ValueError, binascii.Error) as error:
        raise BadNote("this is not a verifier key") from error
    verifier = Verifier(name, blob[1:], begin, end)
    if blob[:1] != ED25519 or len(blob) != 33 or verifier.id.hex() != key_id:
        raise BadNote("the verifier key does not fit its id")
    return verifier
