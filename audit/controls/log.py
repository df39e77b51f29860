"""What the sealed bytes show by themselves, whatever they tell about: places, versions, clocks and roots.

One pass, in the order of the log. It keeps one number for each row that entries tell about, and never an entry.
"""

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from audit.ledger.merkle import Range, leaf_hash

# The one form of entries: keys in order, so that what stands outside the data is found without reading the data.
HEAD = re.compile(rb'\{"actor":\{"auth":"([^"]*)","id":"([^"]*)","kind":"[^"]*"\},"data":')
TAIL = re.compile(
    rb'"id":"([^"]*)","prev":(?:null|"[^"]*")(?:,"sd":\{[^{}]*\})?,"state":(?:null|\{[^{}]*\}),"stream":"([^"]*)",'
    rb'"stream_version":(\d+),"subject":("[^"\\]*(?:\\.[^"\\]*)*"),"time":"([^"]*)","type":"([^"]*)","v":[12]\}'
)
ID = (
    b'"id":"'  # the last one is the entry's own: no key behind it is called so, and a text has no bare quotes
)
LOST = b"\0" * 32  # in the place of an entry that is not there
SKEW = 300  # seconds that an entry may be older than one that was placed before it
RECENT = 20_001  # moments that are kept: more entries than the gate lets wait


@dataclass(frozen=True)
class Seal:
    """A stored checkpoint: what it covers, whether our key signed exactly that, and who else has seen it."""

    size: int
    root: bytes
    signed: bool | None  # None: there is no key to ask
    at: str = ""  # when the sequencer made it, by its own clock
    witnessed: bool | None = None  # as many as the policy demands; None: it demands none
    stamp: str | None = (
        None  # the digest of the token of a timestamp authority; empty where it does not verify
    )


@dataclass(frozen=True)
class Sealed:
    """What lies under one checkpoint and not under the one before it."""

    seal: Seal
    first: int
    time: str  # of the newest entry
    fits: bool  # whether the entries so far have the root that was signed
    fault: str  # the first one: gap, unreadable, version, clock
    at: int  # its index
    begun: str = ""  # when the first of these entries was written
    newest: str = ""  # the latest moment that one of them tells; empty where entries before told a later one

    def is_late(self, most: int) -> bool:
        """Whether its first entry had waited for longer when it was signed; of the first checkpoint nobody asks."""
        known = self.first > 0 and bool(self.begun and self.seal.at)
        return known and most < seconds(self.begun, self.seal.at) < float("inf")


class Line(NamedTuple):
    """What an entry says, not yet read: its data and its subject are JSON."""

    kind: bytes
    time: bytes
    auth: bytes  # how the actor was known
    actor: bytes
    stream: bytes
    subject: bytes
    data: bytes


class Log:
    """The walk over all entries up to a size."""

    def __init__(self, seals: Iterable[Seal] = ()) -> None:
        self.sealed: list[Sealed] = []
        self.recent: deque[bytes] = deque(maxlen=RECENT)
        self.newest = b""
        self._seals = deque(seals)
        self._range = Range()
        self._versions: dict[bytes, int] = {}
        self._first, self._fault, self._at, self._before = 0, "", 0, b""

    @property
    def witnessed(self) -> int | None:
        """The largest size that witnesses have cosigned as the policy demands; None where it demands none."""
        asked = [one.seal for one in self.sealed if one.seal.witnessed is not None]
        return max((one.size for one in asked if one.witnessed), default=0) if asked else None

    @property
    def until(self) -> str:
        """The latest moment that any entry tells."""
        return self.newest.decode()

    def take(self, index: int, body: bytes | None) -> Line | None:
        """The next entry; None where it cannot be read."""
        while self._range.size < index:
            self.blame("gap", self._range.size)
            self._append(LOST)
        line = None if body is None else self._read(index, body)
        if body is None:
            self.blame("gap", index)
        elif line is None:
            self.blame("unreadable", index)
        self._append(LOST if body is None else leaf_hash(body))
        return line

    def end(self, size: int | None = None) -> None:
        """After the last entry: what is missing up to the size is missing."""
        while self._range.size < (size or 0):
            self.blame("gap", self._range.size)
            self._append(LOST)

    def age(self, index: int, size: int) -> float | None:
        """Seconds between the entry at this place and the first that a log of this size did not hold; None: too far."""
        waiting = index - size
        if waiting <= 0:
            return 0.0
        return None if waiting >= len(self.recent) else _seconds(self.recent[-1 - waiting], self.recent[-1])

    def _read(self, index: int, body: bytes) -> Line | None:
        at = body.rfind(ID)
        head, tail = HEAD.match(body), TAIL.fullmatch(body, max(0, at))
        if head is None or tail is None:
            self.recent.append(self.newest)
            return None
        own, stream, version, subject, time, kind = tail.groups()
        if own != stream:  # an act that changes no row is a stream of its own
            self._follow(index, stream, int(version))
        self._tick(index, time)
        return Line(kind, time, head[1], head[2], stream, subject, body[head.end() : at - 1])

    def _follow(self, index: int, stream: bytes, version: int) -> None:
        if version != self._versions.get(stream, 0) + 1:
            self.blame("version", index)
        self._versions[stream] = version

    def _tick(self, index: int, time: bytes) -> None:
        self.recent.append(time)
        if time >= self.newest:
            self.newest = time
        elif _seconds(time, self.newest) > SKEW:
            self.blame("clock", index)

    def blame(self, fault: str, index: int) -> None:
        """Note what is wrong; of each checkpoint the first counts."""
        if not self._fault:
            self._fault, self._at = fault, index

    def _append(self, leaf: bytes) -> None:
        self._range.append(leaf)
        if not self._seals or self._seals[0].size != self._range.size:
            return
        seal = self._seals.popleft()
        fits = self._range.root() == seal.root
        rose = "" if self.newest == self._before else self.until
        fault, begun = (self._fault, self._at), self._time_of(self._first).decode()
        self.sealed.append(Sealed(seal, self._first, self.until, fits, *fault, begun, rose))
        self._first, self._fault, self._before = seal.size, "", self.newest

    def _time_of(self, index: int) -> bytes:
        """Of an entry of late, or the earliest that is still known."""
        behind = min(self._range.size - index, len(self.recent))
        return self.recent[-behind] if behind else b""


def seconds(earlier: str, later: str) -> float:
    """From one moment to another; for ever where one of them is none."""
    return _seconds(earlier.encode(), later.encode())


def _seconds(earlier: bytes, later: bytes) -> float:
    try:
        begin, end = (datetime.fromisoformat(one.decode()) for one in (earlier, later))
    except ValueError:
        return float("inf")
    return (end - begin).total_seconds()
