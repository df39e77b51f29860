"""Reads a step's log: a window of lines, what is new behind a number, the text between two bytes. Changes nothing.

Each question finds its place by an index and reads from there, so that it costs the same at any size; nothing here
holds more than a page in memory.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypedDict

from audit.ledger.record import timestamp
from orchestration import lifecycle
from orchestration.logs.bodies import Bodies
from orchestration.logs.layout import MARK, rendered
from orchestration.models import LogChunk, Step, StepAttempt

PAGE_BYTES = 1_048_576  # of one answer: a page is drawn in a blink
PAGE_LINES = 500
LINE_BYTES = 16_384  # of a line that is shown; the rest of it is in the text
ROWS = 16  # read at once: at most a megabyte


class Line(TypedDict):
    """A line, or a piece of output, as the page and the API show it; `cut` bytes of it are only in the text."""

    seq: int
    line: int
    stream: str
    text: str
    at: str
    cut: int


class Page(TypedDict):
    """Lines; whether more wait or will come; how many there are by now."""

    results: list[Line]
    after: int
    more: bool
    ended: bool
    total: int


@dataclass(frozen=True)
class Totals:
    """How large a step's log is over all its attempts, and what became of it."""

    lines: int
    bytes: int
    lost: int
    root: str
    ended: bool
    removed_at: datetime | None

    @property
    def tag(self) -> str:
        """Names this very text, once it changes no more; empty before."""
        return f'"{self.root.removeprefix("sha256:")[:32]}-{self.bytes}"' if self.ended and self.root else ""


def totals(step: Step) -> Totals:
    attempts = list(StepAttempt.objects.filter(step=step).order_by("number"))
    removed = [one.log_removed_at for one in attempts if one.log_removed_at]
    return Totals(
        lines=max((one.log_lines for one in attempts), default=0),
        bytes=max((one.log_bytes for one in attempts), default=0),
        lost=sum(one.log_lost for one in attempts),
        root=next((one.log_root for one in reversed(attempts) if one.log_root), ""),
        ended=lifecycle.is_terminal(step.state),
        removed_at=min(removed) if removed else None,
    )


def window(step: Step, first: int, count: int = PAGE_LINES, *, most: int = PAGE_BYTES) -> Page:
    """Lines from number `first` on: at most `count`, and about `most` bytes."""
    known = totals(step)
    count = max(1, min(count, PAGE_LINES))
    results: list[Line] = []
    size = 0
    for line in _lines(pieces(step, _offset_of_line(step, first))):
        if line.number < first:
            continue
        results.append(line.told())
        size += len(line.text) + 100
        if len(results) >= count or size >= most:
            break
    last = results[-1]["line"] if results else max(first - 1, 0)
    after = results[-1]["seq"] if results else 0
    total = max(known.lines, last if results else 0)
    return {"results": results, "after": after, "more": last < total, "ended": known.ended, "total": total}


def log_after(step: Step, after: int) -> Page:
    """What a step printed behind number `after`, in the pieces in which it came: at most a page of it."""
    known = totals(step)
    results: list[Line] = []
    size, more = 0, False
    new = LogChunk.objects.filter(step=step, pk__gt=after).order_by("pk")
    for chunk, data in Bodies().of(new.iterator(chunk_size=ROWS)):
        if size >= PAGE_BYTES:
            more = True
            break
        results += _told(chunk, data)
        size += len(data)
        after = chunk.pk
    return {"results": results, "after": after, "more": more, "ended": known.ended, "total": known.lines}


def text(step: Step, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
    """The bytes of the text from `start` up to `stop`, piece by piece."""
    before = LogChunk.objects.filter(step=step, offset__lte=start).order_by("-offset").first()
    for chunk, data in pieces(step, before.offset if before else 0):
        piece = rendered(data, chunk.dropped_bytes, breaks=chunk.breaks)
        end = chunk.offset + len(piece)
        if stop is not None and end > stop:
            piece = piece[: stop - chunk.offset]
        if wanted := piece[max(0, start - chunk.offset) :]:
            yield wanted
        if stop is not None and end >= stop:
            return


def last_lines(step: Step, count: int) -> list[str]:
    """The end of what a step printed, over all its attempts."""
    first = max(1, totals(step).lines - count + 1)
    return [line["text"] for line in window(step, first, count)["results"]]


def pieces(step: Step, offset: int = 0) -> Iterator[tuple[LogChunk, bytes]]:
    """Chunks with their bytes from a place in the text on. Holds no cursor: a slow reader costs nothing."""
    bodies = Bodies()
    while rows := list(LogChunk.objects.filter(step=step, offset__gte=offset).order_by("offset")[:ROWS]):
        yield from bodies.of(rows)
        offset = rows[-1].offset + 1


def _offset_of_line(step: Step, first: int) -> int:
    """Where to read from: the last chunk that begins in an earlier line holds the beginning of this one."""
    before = LogChunk.objects.filter(step=step, first_line__lt=first).order_by("-first_line", "-pk").first()
    return before.offset if before else 0


@dataclass
class _Line:
    """A line while its pieces come together; what is beyond its length is counted."""

    number: int
    chunk: LogChunk
    stream: str
    text: bytearray = field(default_factory=bytearray)
    cut: int = 0

    def add(self, data: bytes) -> None:
        room = max(0, LINE_BYTES - len(self.text))
        self.text += data[:room]
        self.cut += max(0, len(data) - room)

    def told(self) -> Line:
        shown = bytes(self.text).decode(errors="replace")
        at = timestamp(self.chunk.at)
        return Line(seq=self.chunk.pk, line=self.number, stream=self.stream, text=shown, at=at, cut=self.cut)


def _lines(chunks: Iterable[tuple[LogChunk, bytes]]) -> Iterator[_Line]:
    """Whole lines of chunks that follow one another; the last one may still be open."""
    line: _Line | None = None
    for chunk, data in chunks:
        number = chunk.first_line
        if chunk.breaks:
            if line is not None:
                yield line
            line, number = None, number + 1
        if chunk.dropped_bytes:
            yield _Line(number, chunk, "system", bytearray((MARK % chunk.dropped_bytes).rstrip(b"\n")))
            line, number = None, number + 1
        parts = data.split(b"\n")
        for place, part in enumerate(parts):
            if line is None and (part or place < len(parts) - 1):
                line = _Line(number + place, chunk, chunk.stream)
            if line is not None:
                line.add(part)
                if place < len(parts) - 1:
                    yield line
                    line = None
    if line is not None:
        yield line


def _told(chunk: LogChunk, data: bytes) -> Iterator[Line]:
    """A chunk as pieces: what was left out before it, and what it holds."""
    at, line = timestamp(chunk.at), chunk.first_line + chunk.breaks
    if chunk.dropped_bytes:
        mark = (MARK % chunk.dropped_bytes).decode()
        yield Line(seq=chunk.pk, line=line, stream="system", text=mark, at=at, cut=0)
        line += 1
    shown = data.decode(errors="replace")
    yield Line(seq=chunk.pk, line=line, stream=chunk.stream, text=shown, at=at, cut=0)
