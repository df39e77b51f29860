"""A step's output with bounds: never stops reading, never grows, and counts every byte it leaves out.

Output waits in a queue of at most `TAIL_BYTES`, from which the oldest is dropped; it leaves the queue at no more than
`RATE_BYTES_PER_SECOND` until `HEAD_BYTES` have gone, and then only the tail is sent, when the step has ended.
"""

from collections import deque

HEAD_BYTES = 10 << 20
TAIL_BYTES = 10 << 20
RATE_BYTES_PER_SECOND = 2 << 20
CHUNK_BYTES = 64 << 10
LINE_BYTES = 256 << 10
FLUSH_SECONDS = 0.25  # a chunk waits at most this long for company


class Output:
    """The queue between the pipes and the worker."""

    def __init__(self, now: float) -> None:
        self._queue: deque[tuple[bytes, bytes, int]] = deque()  # stream, data, bytes dropped before it
        self._open: dict[bytes, bytearray] = {b"1": bytearray(), b"2": bytearray()}
        self._line: dict[bytes, int] = {b"1": 0, b"2": 0}
        self._lost: dict[bytes, int] = {b"1": 0, b"2": 0}
        self._queued = self.sent_bytes = self.dropped_bytes = 0
        self._budget, self._at, self._opened_at = float(RATE_BYTES_PER_SECOND), now, 0.0

    def put(self, stream: bytes, data: bytes, now: float) -> None:
        """Take what was read from a pipe."""
        kept = self._within_lines(stream, data)
        if not any(self._open.values()):
            self._opened_at = now
        self._open[stream] += kept
        while len(self._open[stream]) >= CHUNK_BYTES:
            self._close(stream, CHUNK_BYTES)

    def take(self, now: float, *, ended: bool = False) -> tuple[bytes, bytes, int] | None:
        """The next (stream, data, dropped) that may be sent now; after the end everything that is left may."""
        if ended or now - self._opened_at >= FLUSH_SECONDS:
            for stream in self._open:
                self._close(stream, len(self._open[stream]))
        self._budget = min(RATE_BYTES_PER_SECOND, self._budget + (now - self._at) * RATE_BYTES_PER_SECOND)
        self._at = now
        if not self._queue or not (ended or (self.sent_bytes < HEAD_BYTES and self._budget > 0)):
            return None
        stream, data, dropped = self._queue.popleft()
        self._queued -= len(data)
        self._budget -= len(data)
        self.sent_bytes += len(data)
        return stream, data, dropped

    def lost(self) -> list[tuple[bytes, bytes, int]]:
        """At the very end: bytes that were left out after the last chunk of a stream."""
        return [(stream, b"", count) for stream, count in self._lost.items() if count]

    @property
    def is_waiting(self) -> bool:
        return bool(self._queue) or any(self._open.values())

    def _within_lines(self, stream: bytes, data: bytes) -> bytes:
        """Cut what lies beyond the longest line, up to its end."""
        if self._line[stream] + len(data) <= LINE_BYTES or not self._too_long(stream, data):
            end = data.rfind(b"\n")
            self._line[stream] = len(data) - end - 1 if end >= 0 else self._line[stream] + len(data)
            return data
        kept = bytearray()
        for piece in data.splitlines(keepends=True) if b"\n" in data else [data]:
            room = max(0, LINE_BYTES - self._line[stream])
            ends = piece.endswith(b"\n")
            part = piece[:room] + (b"\n" if ends and len(piece) > room else b"")
            self._drop(stream, len(piece) - min(len(piece), room) - (1 if ends and len(piece) > room else 0))
            kept += part
            self._line[stream] = 0 if ends else self._line[stream] + len(piece)
        return bytes(kept)

    def _too_long(self, stream: bytes, data: bytes) -> bool:
        first = data.find(b"\n")
        return first < 0 or self._line[stream] + first > LINE_BYTES or len(data) > LINE_BYTES

    def _close(self, stream: bytes, size: int) -> None:
        if not size:
            return
        data = bytes(self._open[stream][:size])
        del self._open[stream][:size]
        self._queue.append((stream, data, self._lost[stream]))
        self._lost[stream] = 0
        self._queued += len(data)
        while self._queued > TAIL_BYTES:
            self._shed()

    def _shed(self) -> None:
        """Drop the oldest chunk; its successor of the same stream tells how much is missing."""
        stream, data, dropped = self._queue.popleft()
        self._queued -= len(data)
        self.dropped_bytes += len(data)
        missing = dropped + len(data)
        for place, (other, kept, before) in enumerate(self._queue):
            if other == stream:
                self._queue[place] = (other, kept, before + missing)
                return
        self._lost[stream] += missing

    def _drop(self, stream: bytes, count: int) -> None:
        self._lost[stream] += count
        self.dropped_bytes += count
