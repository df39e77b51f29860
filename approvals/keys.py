"""Ed25519 keys outside the database, so that SQL alone cannot mint a sign-off, a permit or a bundle.

Each purpose has its own key: `<purpose>.key` (0600) signs, `<purpose>.pub` verifies, so a process may hold only
the latter. It must never send a private key anywhere, nor accept a signature made for another domain.
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

Purpose = Literal["policy", "chain", "signoff", "permit"]


def sign(purpose: Purpose, document: object) -> str:
    """`ed25519:<key id>:<base64>` over the purpose and the canonical bytes of `document`."""
    key = _private(_folder() / f"{purpose}.key")
    signature = base64.b64encode(key.sign(_message(purpose, document))).decode()
    return f"ed25519:{_id(key.public_key())}:{signature}"


def verify(purpose: Purpose, document: object, signature: str) -> bool:
    """Whether a key that we hold for this purpose signed exactly this document."""
    try:
        scheme, key_id, encoded = signature.split(":")
        key = _public(_folder() / f"{purpose}.pub", key_id)
        if scheme != "ed25519" or key is None:
            return False
        key.verify(base64.b64decode(encoded, validate=True), _message(purpose, document))
    except (ValueError, InvalidSignature):
        return False
    return True


def key_id(signature: str) -> str:
    """The id of the key that a signature says it was made with."""
    return signature.split(":")[1]


def _message(purpose: str, document: object) -> bytes:
    return f"countersign/{purpose}/v1".encode() + b"\0" + canonical(document)


def _folder() -> Path:
    return Path(settings.KEY_DIR)


def _id(key: Ed25519PublicKey) -> str:
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]


@lru_cache(maxsize=16)
def _private(path: Path) -> Ed25519PrivateKey:
    """The key of this file; made on first use, once, whichever process comes first."""
    if not path.exists():
        _make(path)
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(path.read_text()))
    _publish(path.with_suffix(".pub"), key.public_key())
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
        with path.open("a") as file:
            file.write(line + "\n")


@lru_cache(maxsize=64)
def _public(path: Path, wanted: str) -> Ed25519PublicKey | None:
    for line in path.read_text().split() if path.exists() else []:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(line))
        if _id(key) == wanted:
            return key
    return None
