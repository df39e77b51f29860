"""The text of a step's log: how its chunks follow one another, over all attempts, in lines that never move. Pure.

The text is what `log.txt` hands out byte for byte. A chunk adds, in this order: the end of a line that stands open and
is not its own, a line that counts what was left out, its data. Line 1 is the first of the step's first attempt.
"""

from dataclasses import dataclass, replace

MARK = b"[%d bytes were left out here]\n"


@dataclass(frozen=True)
class Place:
    """Where the text has come to, and so where the next chunk begins."""

    lines: int = 0  # ends of lines so far
    offset: int = 0
    stream: str = ""  # whose line stands open; that of an earlier attempt is nobody's
    is_open: bool = False

    def breaks(self, stream: str, dropped: int) -> bool:
        """Whether a chunk has to end the open line before it."""
        return self.is_open and (stream != self.stream or dropped > 0)

    def after(self, stream: str, data: bytes, dropped: int) -> "Place":
        """Where the text has come to behind this chunk."""
        added = rendered(data, dropped, breaks=self.breaks(stream, dropped))
        if not added:
            return self
        return Place(
            lines=self.lines + added.count(b"\n"),
            offset=self.offset + len(added),
            stream=stream,
            is_open=not added.endswith(b"\n"),
        )

    def of_a_new_attempt(self) -> "Place":
        return replace(self, stream="")


def rendered(data: bytes, dropped: int, *, breaks: bool) -> bytes:
    """What a chunk adds to the text."""
    return (b"\n" if breaks else b"") + (MARK % dropped if dropped else b"") + data
