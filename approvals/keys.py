"""Ed25519 keys outside the database, so that SQL alone cannot mint a sign-off, a permit or a bundle.

Each purpose has its own key, and each side of the product its own folder: what the web server holds must not let a
run start, so permits, bundles and trust in a passkey are signed by workers and terminals alone. Whoever verifies reads
`public/`. It must never send a private key anywhere, nor accept a signature made for another domain or by the other
side.
"""

import base64
import hashlib
import os
from functools import lru_cache
from pathlib import Path
from typing import Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from django.conf import settings

from audit.canonical import canonical

Purpose = Literal["policy", "chain", "plan", "signoff", "permit", "trust", "identity"]
Side = Literal["web", "worker"]

# Whose signature is believed. A worker may ask for a change by itself, so it opens chains and asks for plans too; it
# never signs off.
BELIEVED: dict[Purpose, tuple[Side, ...]] = {
    "chain": ("web", "worker"),
    "plan": ("web", "worker"),
    "signoff": ("web",),
    "permit": ("worker",),
    "policy": ("worker",),
    "trust": ("worker",),
    "identity": ("worker",),  # one host's own; known by its enrolment, not by the folder
}


class KeyNotHeld(RuntimeError):
    """This process was asked for a signature that only the other side may give."""


def sign(purpose: Purpose, document: object) -> str:
    """`ed25519:<key id>:<base64>` over the purpose and the canonical bytes of `document`."""
    key = _private(_folder(), _side(purpose), purpose)
    signature = base64.b64encode(key.sign(_message(purpose, document))).decode()
    return f"ed25519:{_id(key.public_key())}:{signature}"


def verify(purpose: Purpose, document: object, signature: str) -> bool:
    """Whether a key of a side that is believed for this purpose signed exactly this document."""
    try:
        scheme, key_id, encoded = signature.split(":")
        found = (
            _public(_folder() / "public" / side / f"{purpose}.pub", key_id) for side in BELIEVED[purpose]
        )
        key = next((one for one in found if one is not None), None)
        if scheme != "ed25519" or key is None:
            return False
        return _is_signed(key, base64.b64decode(encoded, validate=True), _message(purpose, document))
    except ValueError:
        return False


def public(purpose: Purpose) -> str:
    """The public half of this side's key, as hex."""
    return _private(_folder(), _side(purpose), purpose).public_key().public_bytes_raw().hex()


def verify_by(public_key: str, purpose: Purpose, document: object, signature: str) -> bool:
    """Whether the holder of just this key signed exactly this document."""
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key))
        scheme, named, encoded = signature.split(":")
        if scheme != "ed25519" or named != _id(key):
            return False
        return _is_signed(key, base64.b64decode(encoded, validate=True), _message(purpose, document))
    except ValueError:
        return False


def key_id(signature: str) -> str:
    """The id of the key that a signature says it was made with."""
    return signature.split(":")[1]


def holds(purpose: Purpose) -> bool:
    """Whether this process may sign for this purpose."""
    return settings.SIGNS_AS == "" or settings.SIGNS_AS in BELIEVED[purpose]


def _side(purpose: Purpose) -> Side:
    """Whose key this process signs with. A terminal is neither side, and signs as the first that is believed."""
    for side in BELIEVED[purpose]:
        if settings.SIGNS_AS in {"", side}:
            return side
    raise KeyNotHeld(
        f"A {settings.SIGNS_AS} process signs nothing for {purpose}; {' or '.join(BELIEVED[purpose])} does."
    )


def _message(purpose: str, document: object) -> bytes:
    return f"countersign/{purpose}/v1".encode() + b"\0" + canonical(document)


def _is_signed(key: Ed25519PublicKey, signature: bytes, message: bytes) -> bool:
    return _verify(key.public_bytes_raw(), signature, message)


@lru_cache(
    maxsize=256
)  # arithmetic on these bytes alone: a permit and an enrolment are looked at with each step
def _verify(key: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def _folder() -> Path:
    return Path(settings.KEY_DIR)


def _id(key: Ed25519PublicKey) -> str:
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]


@lru_cache(maxsize=16)
def _private(folder: Path, side: Side, purpose: Purpose) -> Ed25519PrivateKey:
    """The key of this side; made on first use, once, whichever process comes first."""
    path = folder / side / f"{purpose}.key"
    if not path.exists():
        _make(path)
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(path.read_text()))
    _publish(folder / "public" / side / f"{purpose}.pub", key.public_key())
    return key


def _make(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}.new")
    draft.touch(mode=0o600)
    draft.write_text(Ed25519PrivateKey.generate().private_bytes_raw().hex())
    try:
        os.link(draft, path)  # fails where another process was first: its key stands
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _publish(path: Path, key: Ed25519PublicKey) -> None:
    """One public key a line; older ones stay, so that what they signed remains verifiable."""
    line = key.public_bytes_raw().hex()
    known = path.read_text().split() if path.exists() else []
    if line not in known:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write(line + "\n")


@lru_cache(maxsize=64)
def _public(path: Path, wanted: str) -> Ed25519PublicKey | None:
    for line in path.read_text().split() if path.exists() else []:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(line))
        if _id(key) == wanted:
            return key
    return None
