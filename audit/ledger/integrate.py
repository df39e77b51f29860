"""The sequencer's SQL: take the queue, place leaves and tiles, swap the head. Only the sequencer calls it."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection

from audit.ledger.merkle import EMPTY_ROOT
from audit.ledger.tiles import HASH, Edge

# The leaf is hashed here from the body itself: the hash beside it is trusted for nothing.
TAKE = r"""
SELECT e.id, e.stream, e.stream_version, e.occurred_at, sha256('\x00'::bytea || e.body), e.leaf_hash
FROM audit_pending p JOIN audit_entry e ON e.id = p.entry_id
ORDER BY p.entry_id LIMIT %s FOR UPDATE OF p SKIP LOCKED
"""
SEQUENCED = """
SELECT e.stream, e.stream_version
FROM unnest(%s::uuid[], %s::int[]) AS wanted (stream, version)
JOIN audit_entry e ON e.stream = wanted.stream AND e.stream_version = wanted.version
JOIN audit_leaf l ON l.entry_id = e.id
"""
LEAVES = """
INSERT INTO audit_leaf (index, entry_id, leaf_hash, kind, subject, actor, occurred_at)
SELECT %s + ordinal - 1, e.id, hash, e.kind, e.subject, e.actor, e.occurred_at
FROM unnest(%s::uuid[], %s::bytea[]) WITH ORDINALITY AS t (entry_id, hash, ordinal)
JOIN audit_entry e ON e.id = t.entry_id
"""
TILES = """
INSERT INTO audit_tile (level, index, width, data)
SELECT * FROM unnest(%s::smallint[], %s::bigint[], %s::smallint[], %s::bytea[])
ON CONFLICT (level, index) DO UPDATE SET width = excluded.width, data = excluded.data
"""
FIRST_HEAD = """
INSERT INTO audit_head (id, size, root, integrated_at) VALUES (1, 0, %s, clock_timestamp()) ON CONFLICT DO NOTHING
"""
# Answers the latest time that was in the log before: a subquery sees the row as it was.
SWAP = """
UPDATE audit_head SET size = %s, root = %s, integrated_at = clock_timestamp(), newest_at = GREATEST(newest_at, %s)
WHERE id = 1 AND size = %s AND root = %s RETURNING (SELECT newest_at FROM audit_head WHERE id = 1)
"""


class Broken(Exception):
    """The log's tables disagree with each other: nothing is placed or signed until a person has looked."""


@dataclass(frozen=True)
class Waiting:
    """A pending entry."""

    id: UUID
    stream: UUID
    version: int
    occurred_at: datetime
    leaf: bytes

    @property
    def place(self) -> tuple[UUID, int]:
        return self.stream, self.version

    @property
    def predecessor(self) -> tuple[UUID, int]:
        return self.stream, self.version - 1


def load() -> Edge:
    """The edge of the stored tree, checked against the head and the leaves; Broken when they differ."""
    with connection.cursor() as cursor:
        cursor.execute(FIRST_HEAD, [EMPTY_ROOT])
        cursor.execute("SELECT size, root, (SELECT count(*) FROM audit_leaf) FROM audit_head WHERE id = 1")
        size, root, leaves = cursor.fetchone()
    if leaves != size:
        raise Broken(f"the head says {size} entries, but there are {leaves} leaves")
    try:
        edge = Edge.load(size, tile)
    except LookupError as error:
        raise Broken(str(error)) from error
    if edge.root() != bytes(root):
        raise Broken(f"the tiles of {size} entries have another root than the head")
    return edge


def tile(level: int, index: int) -> bytes:
    """The hashes of a stored tile; LookupError when it is missing."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT data FROM audit_tile WHERE level = %s AND index = %s", [level, index])
        row = cursor.fetchone()
    if row is None:
        raise LookupError(f"tile {level}/{index} is missing")
    return bytes(row[0])


def take(limit: int) -> list[Waiting]:
    """The oldest pending entries, locked until the end of the transaction."""
    with connection.cursor() as cursor:
        cursor.execute(TAKE, [limit])
        rows = cursor.fetchall()
    for row in rows:
        if bytes(row[4]) != bytes(row[5]):
            raise Broken(f"entry {row[0]} was changed before it got its place")
    return [
        Waiting(entry, stream, version, at, bytes(leaf))
        for entry, stream, version, at, leaf, _claimed in rows
    ]


def sequenced(waiting: list[Waiting]) -> set[tuple[UUID, int]]:
    """Those predecessors of waiting entries that have their place already."""
    wanted = [entry.predecessor for entry in waiting if entry.version > 1]
    if not wanted:
        return set()
    streams, versions = zip(*wanted, strict=True)
    with connection.cursor() as cursor:
        cursor.execute(SEQUENCED, [list(streams), list(versions)])
        return set(cursor.fetchall())


def place(batch: list[Waiting], edge: Edge, *, from_root: bytes) -> datetime | None:
    """Write leaves and tiles of the batch, empty its queue and swap the head. Moves `edge` on.

    Answers the latest time that the log bore before, None when it was empty.
    """
    size = edge.size
    tiles = edge.extend(entry.leaf for entry in batch)
    ids = [entry.id for entry in batch]
    levels, indexes = zip(*tiles, strict=True)
    data = list(tiles.values())
    with connection.cursor() as cursor:
        newest = max(entry.occurred_at for entry in batch)
        cursor.execute(SWAP, [edge.size, edge.root(), newest, size, from_root])
        before = cursor.fetchone()
        if before is None:
            raise Broken(f"the head moved while {size} was extended: another sequencer is at work")
        cursor.execute(LEAVES, [size, ids, [entry.leaf for entry in batch]])
        cursor.execute(TILES, [list(levels), list(indexes), [len(tile) // HASH for tile in data], data])
        cursor.execute("DELETE FROM audit_pending WHERE entry_id = ANY(%s)", [ids])
        if cursor.rowcount != len(ids):
            raise Broken("the queue changed under its lock")
    shown: datetime | None = before[0]
    return shown
