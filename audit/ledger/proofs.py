"""Proofs for others to check: one entry is in the log (C2SP tlog-proof), and the log only grew.

Reads tiles and checkpoints only. A proof that would not hold is never handed out.
"""

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache

from audit.ledger import checkpoint, merkle
from audit.ledger.integrate import tile
from audit.ledger.merkle import Node
from audit.ledger.tiles import nodes
from audit.models import Checkpoint, Entry, Leaf
from audit.refusals import NotFound

TILES = 4096  # of 8 kB each


class NotYetSealed(NotFound):
    """The entry exists, but no signed checkpoint covers it yet."""

    code = "not_yet_sealed"


class ProofDoesNotHold(Exception):
    """The stored tree does not lead to the signed root: the log was altered."""


@dataclass(frozen=True)
class Proof:
    """One leaf, its path, and the checkpoint whose root the path leads to."""

    index: int
    leaf: bytes
    path: list[bytes]
    checkpoint: Checkpoint

    def text(self) -> str:
        """A .tlog-proof file (C2SP tlog-proof@v1)."""
        hashes = "".join(base64.b64encode(one).decode() + "\n" for one in self.path)
        return f"c2sp.org/tlog-proof@v1\nindex {self.index}\n{hashes}\n{self.checkpoint.cosigned}"


def of_entry(entry: Entry, *, under: Checkpoint | None = None) -> Proof:
    """That this entry's own bytes are in the log, under the given or the newest checkpoint."""
    leaf = Leaf.objects.filter(entry=entry).first()
    signed = under or checkpoint.latest()
    if leaf is None or signed is None or leaf.index >= signed.size:
        raise NotYetSealed("No signed checkpoint covers this entry yet. Ask again in a few seconds.")
    node = nodes(cache(tile))
    proof = Proof(
        leaf.index,
        merkle.leaf_hash(bytes(entry.body)),
        merkle.inclusion(leaf.index, signed.size, node),
        signed,
    )
    if not merkle.includes(proof.leaf, leaf.index, signed.size, proof.path, bytes(signed.root)):
        raise ProofDoesNotHold(f"entry {leaf.index} does not lead to the root of checkpoint {signed.size}")
    return proof


def reader() -> Node:
    """Reads the nodes of the tree, for many proofs: tiles that were read lately are not read again."""
    return nodes(lru_cache(maxsize=TILES)(tile))


def of_places(indexes: Iterable[int], *, under: Checkpoint, node: Node) -> dict[int, str]:
    """The same of many places, as .tlog-proof files."""
    wanted = list(indexes)
    leaves = dict(Leaf.objects.filter(index__in=wanted).values_list("index", "leaf_hash"))
    found = {}
    for index in wanted:
        path = merkle.inclusion(index, under.size, node)
        if not merkle.includes(bytes(leaves[index]), index, under.size, path, bytes(under.root)):
            raise ProofDoesNotHold(f"entry {index} does not lead to the root of checkpoint {under.size}")
        found[index] = Proof(index, bytes(leaves[index]), path, under).text()
    return found


def consistency(old: Checkpoint, new: Checkpoint) -> list[bytes]:
    """That the newer log begins with the older one."""
    path = merkle.consistency(old.size, new.size, nodes(cache(tile)))
    if not merkle.consistent(old.size, bytes(old.root), new.size, bytes(new.root), path):
        raise ProofDoesNotHold(f"checkpoint {new.size} does not contain the log of checkpoint {old.size}")
    return path
