"""The Merkle tree of RFC 6962 / RFC 9162 as pure functions: roots, proofs and their verification.

Knows neither tables nor settings. Proof makers ask for whole subtrees through `node(level, index)`: the hash over
the leaves `index * 2**level` up to `(index + 1) * 2**level`.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

Node = Callable[[int, int], bytes]

EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(body: bytes) -> bytes:
    """A leaf is hashed behind a zero byte, so that it can never pass for a node."""
    return hashlib.sha256(b"\0" + body).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """An inner node is hashed behind a one byte."""
    return hashlib.sha256(b"\1" + left + right).digest()


def fold(peaks: Sequence[bytes]) -> bytes:
    """The root over whole subtrees, largest first."""
    if not peaks:
        return EMPTY_ROOT
    root = peaks[-1]
    for peak in reversed(peaks[:-1]):
        root = node_hash(peak, root)
    return root


@dataclass
class Range:
    """A compact range from the first leaf on: enough to append and to tell the root, in log2(size) hashes."""

    size: int = 0
    peaks: list[bytes] = field(default_factory=list)

    def append(self, leaf: bytes) -> None:
        """Add one leaf; each one-bit at the end of the size is a subtree that it completes."""
        merged, size = leaf, self.size
        while size & 1:
            merged, size = node_hash(self.peaks.pop(), merged), size >> 1
        self.peaks.append(merged)
        self.size += 1

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Add leaves in order."""
        for leaf in leaves:
            self.append(leaf)

    def root(self) -> bytes:
        """The root over all leaves so far."""
        return fold(self.peaks)


def whole_subtrees(begin: int, end: int) -> Iterator[tuple[int, int]]:
    """`(level, index)` of the whole subtrees that cover [begin, end), largest first; `begin` must be aligned."""
    while begin < end:
        level = (end - begin).bit_length() - 1
        yield level, begin >> level
        begin += 1 << level


def root_of(begin: int, end: int, node: Node) -> bytes:
    """The root over the leaves [begin, end)."""
    return fold([node(level, index) for level, index in whole_subtrees(begin, end)])


def inclusion(index: int, size: int, node: Node) -> list[bytes]:
    """The path from leaf `index` to the root over `size` leaves (RFC 9162 section 2.1.3.1)."""
    if not 0 <= index < size:
        raise ValueError(f"no leaf {index} in a log of {size}")
    path: list[bytes] = []
    begin, end = 0, size
    while end - begin > 1:
        middle = begin + split(end - begin)
        if index < middle:
            path.append(root_of(middle, end, node))
            end = middle
        else:
            path.append(root_of(begin, middle, node))
            begin = middle
    return path[::-1]


def consistency(old: int, new: int, node: Node) -> list[bytes]:
    """The proof that the log of `new` leaves begins with the log of `old` (RFC 9162 section 2.1.4.1)."""
    if not 0 < old <= new:
        raise ValueError(f"no consistency between {old} and {new} leaves")
    path: list[bytes] = []
    begin, end, known = 0, new, True
    while old != end:
        middle = begin + split(end - begin)
        if old <= middle:
            path.append(root_of(middle, end, node))
            end = middle
        else:
            path.append(root_of(begin, middle, node))
            begin, known = middle, False
    if not known:
        path.append(root_of(begin, end, node))
    return path[::-1]


def split(size: int) -> int:
    """The largest power of two smaller than `size`."""
    return 1 << ((size - 1).bit_length() - 1)


def includes(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether the path proves `leaf` at `index` under `root` (RFC 9162 section 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    node, last, reached = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return False
        if node & 1 or node == last:
            reached = node_hash(sibling, reached)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            reached = node_hash(reached, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and reached == root


def consistent(old: int, old_root: bytes, new: int, new_root: bytes, path: Sequence[bytes]) -> bool:
    """Whether the path proves that the newer log only grew (RFC 9162 section 2.1.4.2)."""
    if not 0 < old <= new:
        return False
    if old == new:
        return not path and old_root == new_root
    proof = [old_root, *path] if old & (old - 1) == 0 else list(path)
    if not proof:
        return False
    node, last = old - 1, new - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    before = after = proof[0]
    for sibling in proof[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            before, after = node_hash(sibling, before), node_hash(sibling, after)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            after = node_hash(after, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and before == old_root and after == new_root
