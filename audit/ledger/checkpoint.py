"""Checkpoints (C2SP tlog-checkpoint): origin, size and root of the log in a signed note."""

import base64
import binascii
from dataclasses import dataclass

from django.conf import settings

from audit.ledger.note import BadNote, Signer, Verifier, load, make, opened
from audit.models import Checkpoint

KEY_FILE = "ledger.key"


@dataclass(frozen=True)
class Signed:
    """What a checkpoint says."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def signer() -> Signer:
    """The ledger's signer. A key is made only for a log that never signed: others pinned the one it has."""
    path = settings.KEY_DIR / KEY_FILE
    if path.exists():
        return load(path, settings.LEDGER_ORIGIN)
    if Checkpoint.objects.exists():
        raise FileNotFoundError(f"{path} is missing, but this log has signed checkpoints: restore the key")
    try:
        return make(path, settings.LEDGER_ORIGIN)
    except FileExistsError:  # another process was first
        return load(path, settings.LEDGER_ORIGIN)


def verifier() -> Verifier:
    """The public key that checks this log's checkpoints."""
    return signer().verifier


def read(note: str, key: Verifier) -> Signed:
    """What a note says, once its signature held; BadNote otherwise."""
    lines = opened(note, key).splitlines()
    try:
        origin, size, root = lines[0], int(lines[1]), base64.b64decode(lines[2], validate=True)
    except (IndexError, ValueError, binascii.Error) as error:
        raise BadNote("the note is no checkpoint") from error
    signed = Signed(origin, size, root)
    if origin != key.name or len(root) != 32 or not "\n".join([*lines, ""]).startswith(signed.text()):
        raise BadNote("the checkpoint is of another log, or is not written in its one form")
    return signed


def latest() -> Checkpoint | None:
    """The newest checkpoint."""
    return Checkpoint.objects.order_by("-size").first()
