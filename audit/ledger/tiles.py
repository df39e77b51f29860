"""Tiles of 256 hashes (C2SP tlog-tiles): what is stored of the tree, and how its growing edge is kept.

A tile of level n holds the roots of whole subtrees of 256**n leaves. Pure: reading and writing rows is the
sequencer's and the proofs' business.
"""

from collections.abc import Callable, Iterable, Iterator

from audit.ledger.merkle import Node, Range, fold, node_hash, whole_subtrees

WIDTH = 256
BITS = 8  # levels of the tree in one tile
HASH = 32

Read = Callable[[int, int], bytes]  # (level, index) of a tile -> its hashes


def hashes(data: bytes) -> list[bytes]:
    """The hashes of a tile."""
    return [data[at : at + HASH] for at in range(0, len(data), HASH)]


def whole(level_hashes: list[bytes]) -> bytes:
    """The root over a power of two of hashes."""
    while len(level_hashes) > 1:
        pairs = zip(level_hashes[::2], level_hashes[1::2], strict=True)
        level_hashes = [node_hash(left, right) for left, right in pairs]
    return level_hashes[0]


def nodes(read: Read) -> Node:
    """The whole subtrees of a tree that is stored as tiles, for the makers of proofs."""

    def node(level: int, index: int) -> bytes:
        tile_level, above = divmod(level, BITS)
        tile_index, place = divmod(index << above, WIDTH)
        tile = hashes(read(tile_level, tile_index))
        if len(tile) < place + (1 << above):
            raise LookupError(f"tile {tile_level}/{tile_index} is too short for this tree")
        return whole(tile[place : place + (1 << above)])

    return node


class Edge:
    """The rightmost, growing tile of each level: everything needed to append and to tell the root."""

    def __init__(self, size: int = 0, levels: Iterable[bytes] = ()) -> None:
        self.size = size
        self.levels = [bytearray(data) for data in levels] or [bytearray()]

    @classmethod
    def load(cls, size: int, read: Read) -> "Edge":
        """The edge of a stored tree of `size` leaves; LookupError when a tile is missing or too short."""
        levels: list[bytes] = []
        count = size
        while count or not levels:
            width = count % WIDTH
            data = read(len(levels), count // WIDTH)[: width * HASH] if width else b""
            if len(data) != width * HASH:
                raise LookupError(f"tile {len(levels)}/{count // WIDTH} holds fewer than {width} hashes")
            levels.append(data)
            count //= WIDTH
        return cls(size, levels)

    def extend(self, leaves: Iterable[bytes]) -> dict[tuple[int, int], bytes]:
        """Add leaves; answer the tiles that changed, each as long as it is now."""
        changed: dict[tuple[int, int], bytes] = {}
        touched: set[int] = set()
        for leaf in leaves:
            self._add(0, self.size, leaf, changed, touched)
            self.size += 1
        for level in touched:
            if self.levels[level]:
                changed[level, self.size >> BITS * (level + 1)] = bytes(self.levels[level])
        return changed

    def _add(
        self, level: int, place: int, value: bytes, changed: dict[tuple[int, int], bytes], touched: set[int]
    ) -> None:
        """Put the hash with number `place` of its level; a tile that becomes full is one hash of the next."""
        if level == len(self.levels):
            self.levels.append(bytearray())
        tile = self.levels[level]
        tile += value
        touched.add(level)
        if len(tile) == WIDTH * HASH:
            changed[level, place // WIDTH] = bytes(tile)
            root = whole(hashes(bytes(tile)))
            self.levels[level] = bytearray()
            self._add(level + 1, place // WIDTH, root, changed, touched)

    def peaks(self) -> list[bytes]:
        """The roots of the whole subtrees, largest first: the compact range of the tree."""
        return [
            whole(tile[index << height : (index + 1) << height])
            for tile in (hashes(bytes(data)) for data in reversed(self.levels))
            for height, index in whole_subtrees(0, len(tile))
        ]

    def root(self) -> bytes:
        """The root over all leaves."""
        return fold(self.peaks())

    def range(self) -> Range:
        """The same edge as a compact range."""
        return Range(self.size, self.peaks())


def tiles_of(size: int) -> Iterator[tuple[int, int, int]]:
    """Level, index and width of each tile of a log of this size."""
    level = 0
    while size:
        whole, rest = divmod(size, WIDTH)
        yield from ((level, index, WIDTH) for index in range(whole))
        if rest:
            yield level, whole, rest
        level, size = level + 1, whole


def path(level: int, index: int, width: int = WIDTH) -> str:
    """The address of a tile below `tile/`."""
    return f"{level}/{place(index, width)}"


def place(index: int, width: int = WIDTH) -> str:
    """The address of a tile in its level: groups of three digits, all but the last behind an x."""
    groups = [f"{index % 1000:03d}"]
    while index >= 1000:
        index //= 1000
        groups.insert(0, f"x{index % 1000:03d}")
    partial = f".p/{width}" if width < WIDTH else ""
    return f"{'/'.join(groups)}{partial}"
