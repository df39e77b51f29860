"""Frames between a worker and a supervisor: one letter, a length, a payload. Pure."""

import json
import struct
from collections.abc import Iterator
from typing import Any

# worker -> supervisor
ALIVE, CANCEL, FENCE = b"A", b"C", b"F"
# supervisor -> worker
LOG, OUTCOME = b"L", b"O"

_HEAD = struct.Struct("!cI")
_LOG = struct.Struct("!cQ")
STREAMS = {b"1": "stdout", b"2": "stderr"}


def frame(kind: bytes, payload: bytes = b"") -> bytes:
    """The bytes of one frame."""
    return _HEAD.pack(kind, len(payload)) + payload


def frame_json(kind: bytes, value: Any) -> bytes:
    return frame(kind, json.dumps(value).encode())


def log_frame(stream: bytes, data: bytes, dropped: int) -> bytes:
    """A piece of output and how many bytes were left out right before it."""
    return frame(LOG, _LOG.pack(stream, dropped) + data)


def read_log(payload: bytes) -> tuple[str, bytes, int]:
    """(stream, data, dropped) of a log frame."""
    stream, dropped = _LOG.unpack_from(payload)
    return STREAMS[stream], payload[_LOG.size :], dropped


class Reader:
    """Puts frames together from whatever pieces a socket hands out."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        self._buffer += data
        while len(self._buffer) >= _HEAD.size:
            kind, length = _HEAD.unpack_from(self._buffer)
            if len(self._buffer) < _HEAD.size + length:
                return
            payload = bytes(self._buffer[_HEAD.size : _HEAD.size + length])
            del self._buffer[: _HEAD.size + length]
            yield kind, payload
