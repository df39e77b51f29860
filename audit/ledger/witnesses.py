"""Who else has to have seen the log: a policy in the form of C2SP tlog-policy, and cosignatures (tlog-cosignature v1).

A policy names witnesses, and as its quorum none, one of them, or a group: so many of these. A group holds no group.
"""

import base64
import binascii
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.conf import settings

COSIGNATURE = b"\x04"
SIGNATURE_BYTES = 4 + 8 + 64  # the key's id, the time, Ed25519


class BadPolicy(ValueError):
    """The file of witnesses says what cannot be: which line, and why."""


@dataclass(frozen=True)
class Witness:
    """A key that cosigns, the name that it signs under, and where it is asked."""

    name: str
    key: bytes
    url: str = ""

    @property
    def id(self) -> bytes:
        return hashlib.sha256(self.name.encode() + b"\n" + COSIGNATURE + self.key).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(COSIGNATURE + self.key).decode()}"

    def saw(self, text: str, line: str) -> datetime | None:
        """When it cosigned this text, if this line of a note says so."""
        prefix = f"\N{EM DASH} {self.name} "
        try:
            blob = base64.b64decode(line.rstrip("\n").removeprefix(prefix), validate=True)
            if not line.startswith(prefix) or len(blob) != SIGNATURE_BYTES or blob[:4] != self.id:
                return None
            at = int.from_bytes(blob[4:12], "big")
            said = f"cosignature/v1\ntime {at}\n{text}".encode()
            Ed25519PublicKey.from_public_bytes(self.key).verify(blob[12:], said)
            return datetime.fromtimestamp(at, UTC)
        except (binascii.Error, ValueError, InvalidSignature, OverflowError, OSError):
            return None


@dataclass(frozen=True)
class Policy:
    """The witnesses that are asked, and how many of which must have cosigned."""

    witnesses: tuple[Witness, ...] = ()
    need: int = 0
    of: tuple[Witness, ...] = ()

    def seen(self, text: str, lines: Iterable[str]) -> dict[Witness, datetime]:
        """Which of them cosigned this text, and when."""
        found = ((one, one.saw(text, line)) for line in lines for one in self.witnesses)
        return {one: at for one, at in found if at is not None}

    def is_met(self, text: str, lines: Iterable[str]) -> bool:
        """Whether enough of them did."""
        return len(set(self.seen(text, lines)) & set(self.of)) >= self.need


def policy() -> Policy:
    """That of this installation; read once by each process."""
    return _read(settings.WITNESSES) if settings.WITNESSES else Policy()


@lru_cache(maxsize=4)
def _read(path: Path) -> Policy:
    try:
        return parse(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise BadPolicy(f"{path} cannot be read: {error}") from error


def parse(text: str) -> Policy:
    """The policy; BadPolicy with the number of the line that is wrong."""
    named: dict[str, Witness] = {}
    groups: dict[str, tuple[int, tuple[Witness, ...]]] = {}
    quorum: tuple[int, tuple[Witness, ...]] | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        kind, *words = line.split() or ["#"]
        try:
            if kind == "witness":
                label, key, url = words
                _unused(label, {*named, *groups, "none"})
                named[label] = parse_witness(key, url)
            elif kind == "group":
                label, threshold, *members = words
                _unused(label, {*named, *groups, "none"})
                groups[label] = _group(threshold, members, named)
            elif kind == "quorum" and quorum is None:
                (label,) = words
                quorum = {"none": (0, ()), **groups, **{name: (1, (one,)) for name, one in named.items()}}[
                    label
                ]
            else:
                _ignorable(kind)
        except (ValueError, KeyError) as error:
            raise BadPolicy(f"line {number} of the policy of witnesses: {error}") from error
    keys = [one.key for one in named.values()]
    if quorum is None or len(set(keys)) != len(keys):
        raise BadPolicy(
            "the policy of witnesses has no quorum (`quorum none` demands nobody), or a key twice"
        )
    return Policy(tuple(named.values()), *quorum)


def parse_witness(key: str, url: str) -> Witness:
    """A witness from its verifier key `<name>+<id>+<base64>`."""
    name, key_id, encoded = key.split("+", 2)
    blob = base64.b64decode(encoded, validate=True)
    witness = Witness(name, blob[1:], url.rstrip("/"))
    if blob[:1] != COSIGNATURE or len(blob) != 33 or witness.id.hex() != key_id:
        raise ValueError("the key is no Ed25519 key of a witness, or was copied with a mistake")
    if urlsplit(url).scheme not in {"https", "http"}:
        raise ValueError("the address of a witness begins with https:// or http://")
    return witness


def _group(threshold: str, members: list[str], named: dict[str, Witness]) -> tuple[int, tuple[Witness, ...]]:
    missing = [one for one in members if one not in named]
    if missing or len(set(members)) != len(members):
        raise ValueError(
            f"a group has witnesses of the lines above, each once; not {' '.join(missing) or 'one twice'}"
        )
    need = {"all": str(len(members)), "any": "1"}.get(threshold, threshold)
    if not need.isdigit() or not 1 <= int(need) <= len(members):
        raise ValueError(f"{threshold} of {len(members)} cannot be")
    return int(need), tuple(named[one] for one in members)


def _ignorable(kind: str) -> None:
    """The log is known from elsewhere, and a comment is none of our business."""
    if kind != "log" and not kind.startswith("#"):
        raise ValueError(f"{kind} is none of witness, group and one quorum")


def _unused(label: str, taken: set[str]) -> None:
    if label in taken:
        raise ValueError(f"{label} is taken")
