"""The chain of one attempt's chunks: the digest of each covers the one before it. Pure.

The last digest, the root, goes into the entry that ends the attempt, so that no chunk can be changed, added or taken
away afterwards without being found (docs/reference/ledger-format.md).
"""

import hashlib
import struct
from uuid import UUID

DOMAIN = b"countersign/log/v1\0"
_HEAD = struct.Struct("!IQI")  # seq, dropped bytes, length of the stream's name


def start(attempt_id: UUID) -> bytes:
    """What stands before the first chunk: no log can pass for another's."""
    return hashlib.sha256(DOMAIN + attempt_id.bytes).digest()


def link(before: bytes, *, seq: int, stream: str, data: bytes, dropped: int) -> bytes:
    """The digest of a chunk that follows `before`."""
    name = stream.encode()
    return hashlib.sha256(before + _HEAD.pack(seq, dropped, len(name)) + name + data).digest()


def root(digest: bytes) -> str:
    """As an entry tells it."""
    return f"sha256:{digest.hex()}"
