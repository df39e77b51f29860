"""What lies in an archive, and under which names (docs/reference/ledger-format.md). Pure.

Tiles and bundles of entries as C2SP tlog-tiles has them. Each name is written once: what grows gets a name of its own.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from audit.ledger.tiles import BITS, WIDTH, place, tiles_of

MANIFESTS = "archive/"


@dataclass(frozen=True)
class File:
    """A tile, or, where the level is None, the bundle of the entries below a tile of the lowest level."""

    level: int | None
    index: int
    width: int

    @property
    def name(self) -> str:
        below = "entries" if self.level is None else str(self.level)
        return f"tile/{below}/{place(self.index, self.width)}"


def between(old: int, new: int) -> Iterator[File]:
    """The files of a log of the new size that one of the old size did not have."""
    for level, index, width in tiles_of(new):
        if index >= old >> BITS * (level + 1):
            yield File(level, index, width)
            if not level:
                yield File(None, index, width)


def entries_of(file: File) -> tuple[int, int]:
    """The first entry of a bundle, and the one behind its last."""
    return file.index * WIDTH, file.index * WIDTH + file.width


def packed(bodies: Iterable[bytes]) -> bytes:
    """Entries as one bundle: each behind its length in two bytes."""
    return b"".join(len(body).to_bytes(2, "big") + body for body in bodies)


def manifest_name(size: int) -> str:
    """Sorts by size."""
    return f"{MANIFESTS}{size:016d}.json"


def size_of(name: str) -> int | None:
    """The size that a manifest is of; None for what is no manifest."""
    number = name.removeprefix(MANIFESTS).removesuffix(".json")
    return (
        int(number) if len(number) == 16 and number.isdigit() and manifest_name(int(number)) == name else None
    )


def program_name(program: bytes) -> str:
    """The verifier changes with releases; each has a name of its own."""
    return f"{MANIFESTS}countersign-verify-{hashlib.sha256(program).hexdigest()[:12]}.py"
