"""Checkpoints (C2SP tlog-checkpoint): origin, size and root of the log in a signed note.

Reads them by the public keys alone, and asks the signer for new ones: nobody who imports this holds the key.
"""

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

from audit.ledger import signer, witnesses
from audit.ledger.note import BadNote, Verifier
from audit.ledger.note import read as opened
from audit.models import Checkpoint


@dataclass(frozen=True)
class Signed:
    """What a checkpoint says."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


LOOKED_AT = 100  # of the newest: witnesses that are so far behind have seen nothing that counts


class SignerAway(Exception):
    """Nobody answers where the signer should be."""


def ask(asked: signer.Message) -> signer.Message:
    """What the signer, a process of its own, answers; SignerAway when it does not."""
    try:
        return signer.ask(settings.SIGNER_SOCKET, asked)
    except (OSError, ValueError) as error:
        raise SignerAway(f"the signer does not answer at {settings.SIGNER_SOCKET} ({error})") from error


def keeper() -> signer.Keeper:
    """The key and its memory, for the process that may read them."""
    return signer.Keeper(settings.KEY_DIR / "signer", _published(), settings.LEDGER_ORIGIN)


def keys() -> tuple[Verifier, ...]:
    """The public keys that check this log's checkpoints, oldest first, as the signer tells them."""
    path = _published()
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: start the signer, or copy the file from where it runs")
    return tuple(signer.Term(**one).verifier for one in json.loads(path.read_text())["keys"])


def verifier() -> Verifier:
    """The newest of them."""
    return keys()[-1]


def trust(size: int) -> bytes:
    """What an auditor pins, as this server tells it; made to be read and edited."""
    by, policy = keys(), witnesses.policy()
    workers = Path(settings.KEY_DIR) / "public" / "worker" / "trust.pub"
    told: dict[str, Any] = {
        "v": 1,
        "origin": by[0].name,
        "keys": [{"key": str(one), "from": one.begin, "until": one.end} for one in by],
        "minimum_size": size,
        "workers": workers.read_text().split() if workers.exists() else [],
    }
    if policy.need:
        told["witnesses"] = {"need": policy.need, "keys": [str(one) for one in policy.of]}
    return json.dumps(told, indent=2).encode() + b"\n"


def read(note: str, by: Sequence[Verifier]) -> Signed:
    """What a note says, once a key signed it that may at its size; BadNote otherwise."""
    text, signed_by = opened(note, *by)
    lines = text.splitlines()
    try:
        origin, size, root = lines[0], int(lines[1]), base64.b64decode(lines[2], validate=True)
    except (IndexError, ValueError, binascii.Error) as error:
        raise BadNote("the note is no checkpoint") from error
    signed = Signed(origin, size, root)
    if origin != by[0].name or len(root) != 32 or not text.startswith(signed.text()):
        raise BadNote("the checkpoint is of another log, or is not written in its one form")
    if not any(key.covers(size) for key in signed_by):
        raise BadNote(f"the key that signed it does not sign a log of {size} entries")
    return signed


def newest() -> Checkpoint | None:
    """The newest that was signed."""
    return Checkpoint.objects.order_by("-size").first()


def latest() -> Checkpoint | None:
    """The newest that counts: where the policy demands witnesses, that enough of them cosigned."""
    policy = witnesses.policy()
    if not policy.need:
        return newest()
    seen = Checkpoint.objects.filter(cosignatures__isnull=False).distinct().order_by("-size")
    for one in seen.prefetch_related("cosignatures")[:LOOKED_AT]:
        if policy.is_met(one.text, (cosignature.line for cosignature in one.cosignatures.all())):
            return one
    return None


def notes(size: int, *, most: int | None = None) -> list[str]:
    """The whole note of each checkpoint up to this size, or of the newest of them, with the lines of witnesses."""
    found = Checkpoint.objects.filter(size__lte=size).order_by("-size").prefetch_related("cosignatures")
    return [one.cosigned for one in found[:most]][::-1]


def _published() -> Path:
    return Path(settings.KEY_DIR) / "public" / "signer" / "ledger.json"
