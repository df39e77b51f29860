"""Where the bytes of chunks lie: in their rows, or, for attempts that have ended, in the storage of logs.

A body from the storage is believed only once its digest fits: whoever can write there can write nothing into a log.
"""

import struct
from collections.abc import Iterable, Iterator
from uuid import UUID

from django.core.files.storage import Storage, storages
from django.core.files.storage.handler import InvalidStorageError

from audit.refusals import Refusal
from orchestration.logs import chain
from orchestration.models import LogChunk

NAME = "logs"  # in Django's STORAGES
_FRAME = struct.Struct("!II")  # seq, length


class LogUnavailable(Refusal):
    """The bodies of a log lie in a storage that does not answer, or does not give what was put there."""

    code = "log_unavailable"
    status = 503


def storage() -> Storage | None:
    """The storage of logs; None where bodies stay in the database."""
    try:
        return storages[NAME]
    except InvalidStorageError:
        return None


def name_of(attempt_id: UUID, part: int) -> str:
    return f"{attempt_id}/{part:010d}"


def packed(chunks: Iterable[tuple[int, bytes]]) -> bytes:
    """The bytes of one object: each body behind its number and its length."""
    return b"".join(_FRAME.pack(seq, len(data)) + data for seq, data in chunks)


def unpacked(content: bytes) -> dict[int, bytes]:
    found, at = {}, 0
    while at < len(content):
        seq, size = _FRAME.unpack_from(content, at)
        found[seq] = content[at + _FRAME.size : at + _FRAME.size + size]
        at += _FRAME.size + size
    return found


def read_part(attempt_id: UUID, part: int) -> dict[int, bytes]:
    """The bodies of one object; LogUnavailable when it cannot be had, for whatever reason."""
    there = storage()
    if there is None:
        raise LogUnavailable("This log lies in a storage that is not set up any more; nothing can be shown.")
    try:
        with there.open(name_of(attempt_id, part)) as file:
            return unpacked(file.read())
    except Exception as error:  # each storage has errors of its own
        raise LogUnavailable(
            "The storage of logs does not answer, or has lost this log; nothing can be shown."
            " The run itself is not affected."
        ) from error


class Bodies:
    """Gives chunks their bytes; keeps the object that was read last, since neighbours lie in it."""

    def __init__(self) -> None:
        self._place: tuple[UUID, int] | None = None
        self._read: dict[int, bytes] = {}

    def of(self, chunks: Iterable[LogChunk]) -> Iterator[tuple[LogChunk, bytes]]:
        for chunk in chunks:
            yield chunk, self.one(chunk)

    def one(self, chunk: LogChunk) -> bytes:
        if chunk.data is not None:
            return bytes(chunk.data)
        place = (chunk.attempt_id, chunk.part or 0)
        if place != self._place:
            self._read = _checked(*place)
            self._place = place
        return self._read[chunk.seq]


def _checked(attempt_id: UUID, part: int) -> dict[int, bytes]:
    """The bodies of an object, once each has the digest that its row has."""
    read = read_part(attempt_id, part)
    rows = LogChunk.objects.filter(attempt=attempt_id, part=part).order_by("seq")
    before = LogChunk.objects.filter(attempt=attempt_id, seq__lt=part).order_by("-seq").first()
    digest = bytes(before.digest) if before else chain.start(attempt_id)
    for row in rows:
        digest = chain.link(
            digest, seq=row.seq, stream=row.stream, data=read.get(row.seq, b""), dropped=row.dropped_bytes
        )
        if digest != bytes(row.digest) or row.seq not in read:
            raise LogUnavailable(
                f"Piece {row.seq} of this log is not as it was stored; nothing of it is shown."
            )
    return read
