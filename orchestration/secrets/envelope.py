"""Seals a value so that only the workers' side can open it. Knows no Django: the opener of a step imports it.

A fresh AES-256-GCM key for each version, wrapped by HPKE (RFC 9180) for the workers' X25519 key. Whoever seals needs
the public key only, so neither the web server nor the database can open what they store. It must never return a
value to anybody but the opener, nor open one under another name than it was sealed for.
"""

import base64
import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from orchestration.secrets.provider import Gone

SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
INFO = b"countersign secret, version 1"
PUBLIC = Path("public") / "worker" / "secrets.pub"


@dataclass(frozen=True)
class Sealed:
    """One version as it is stored: nothing in it can be read without the workers' key."""

    key_id: str
    wrapped: bytes
    nonce: bytes
    ciphertext: bytes

    @property
    def digest(self) -> str:
        """Names the ciphertext, in what is signed; a key that is wrapped anew does not change it."""
        return "sha256:" + hashlib.sha256(self.nonce + self.ciphertext).hexdigest()


def make_key(folder: Path) -> None:
    """The workers' key, made once; its public half where whoever seals finds it."""
    if not held(folder):
        _write(folder / "worker" / "secrets.key", X25519PrivateKey.generate().private_bytes_raw().hex())
    if not (folder / PUBLIC).exists():
        path = max(held(folder).values(), key=lambda one: one.stat().st_mtime_ns)
        _write(folder / PUBLIC, _hex(_private(path).public_key()) + "\n")


def make_next_key(folder: Path) -> str:
    """One more key, beside those that there are. Nothing is sealed for it before it is published."""
    key = X25519PrivateKey.generate()
    name = _id(key.public_key())
    _write(folder / "worker" / f"secrets-{name}.key", key.private_bytes_raw().hex())
    return name


def publish(folder: Path, wanted: str) -> None:
    """From now on whoever seals does it for this key, which is held here."""
    public, key = folder / PUBLIC, _private(held(folder)[wanted]).public_key()
    lines = [line for line in public.read_text().split() if line != _hex(key)]
    draft = public.with_suffix(f".{os.getpid()}.new")
    draft.write_text("\n".join([*lines, _hex(key)]) + "\n")
    draft.replace(public)


def published(folder: Path) -> list[str]:
    """The ids of the keys that values were or are sealed for, the newest last."""
    lines = (folder / PUBLIC).read_text().split()
    return [_id(X25519PublicKey.from_public_bytes(bytes.fromhex(line))) for line in lines]


def held(folder: Path) -> dict[str, Path]:
    """The private keys that lie here, by id."""
    paths = sorted((folder / "worker").glob("secrets*.key"))
    return {_id(_private(path).public_key()): path for path in paths}


def seal(value: bytes, *, folder: Path, bound_to: str) -> Sealed:
    """FileNotFoundError where no worker has made its key yet."""
    key = _newest(folder)
    data_key, nonce = AESGCM.generate_key(256), os.urandom(12)
    ciphertext = AESGCM(data_key).encrypt(nonce, value, bound_to.encode())
    return Sealed(_id(key), SUITE.encrypt(data_key, key, INFO), nonce, ciphertext)


def wrap_anew(sealed: Sealed, *, folder: Path) -> Sealed:
    """The same sealed bytes, their key wrapped for the newest key of the workers; the value is not opened.

    Gone where the key that it is wrapped for is not held here."""
    key, old = _newest(folder), _held(folder / "worker", sealed.key_id)
    try:
        data_key = SUITE.decrypt(sealed.wrapped, old, INFO)
    except (InvalidTag, ValueError):
        raise Gone("it is not what was wrapped for this key") from None
    return replace(sealed, key_id=_id(key), wrapped=SUITE.encrypt(data_key, key, INFO))


def carried(sealed: Sealed, *, folder: Path, bound_to: str) -> dict[str, str]:
    """What the opener is handed: the sealed bytes, and where the key lies that opens them."""
    parts = {"wrapped": sealed.wrapped, "nonce": sealed.nonce, "ciphertext": sealed.ciphertext}
    told = {name: base64.b64encode(part).decode() for name, part in parts.items()}
    return {**told, "key_id": sealed.key_id, "key": str(folder / "worker"), "bound_to": bound_to}


def value(given: dict[str, Any]) -> bytes:
    """In the opener only: what was sealed. Gone when it is not what was sealed under this name, or for another key."""
    key = _held(Path(given["key"]), given["key_id"])
    wrapped, nonce, ciphertext = (
        base64.b64decode(given[name]) for name in ("wrapped", "nonce", "ciphertext")
    )
    try:
        data_key = SUITE.decrypt(wrapped, key, INFO)
        return AESGCM(data_key).decrypt(nonce, ciphertext, given["bound_to"].encode())
    except (InvalidTag, ValueError):
        raise Gone("it is not what was sealed under this name") from None


def _held(folder: Path, wanted: str) -> X25519PrivateKey:
    """The key with this id; others lie beside it, as `secrets-*.key`."""
    path = held(folder.parent).get(wanted)
    if path is None:
        raise Gone(f"the key {wanted} that it was sealed for is not held here")
    return _private(path)


def _newest(folder: Path) -> X25519PublicKey:
    return X25519PublicKey.from_public_bytes(bytes.fromhex((folder / PUBLIC).read_text().split()[-1]))


def _private(path: Path) -> X25519PrivateKey:
    return X25519PrivateKey.from_private_bytes(bytes.fromhex(path.read_text()))


def _id(key: X25519PublicKey) -> str:
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]


def _hex(key: X25519PublicKey) -> str:
    return key.public_bytes_raw().hex()


def _write(path: Path, text: str) -> None:
    """Whole or not at all; where another process was first, its file stands."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}.new")
    draft.touch(mode=0o600)
    draft.write_text(text)
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
