"""Examines the whole log inside its database and says in words what does not fit. Changes nothing.

It finds what somebody altered in place. A log that was rebuilt and signed again as a whole is only found with a
checkpoint that was kept elsewhere: `pinned`.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import connection, transaction
from django.utils.module_loading import import_string

from audit.canonical import NotCanonical, parse
from audit.ledger import checkpoint, guarded, merkle, state
from audit.ledger.note import BadNote, Verifier
from audit.ledger.opened import Texts
from audit.ledger.record import timestamp
from audit.ledger.tiles import HASH, WIDTH, Edge
from audit.models import Checkpoint, Coupled

CHUNK = 2000

ENTRIES = """
SELECT l.index, l.leaf_hash, e.id, e.stream, e.stream_version, e.kind, e.subject, e.actor, e.occurred_at,
       e.body, e.leaf_hash, l.kind, l.subject, l.actor, l.occurred_at
FROM audit_leaf l LEFT JOIN audit_entry e ON e.id = l.entry_id ORDER BY l.index
"""
STRAY = """
SELECT e.id, e.kind, e.subject FROM audit_entry e
WHERE NOT EXISTS (SELECT FROM audit_leaf l WHERE l.entry_id = e.id)
  AND NOT EXISTS (SELECT FROM audit_pending p WHERE p.entry_id = e.id)
ORDER BY e.id
"""


@dataclass(frozen=True)
class Finding:
    """Something that does not fit: where in the log (None: outside it), and a sentence."""

    index: int | None
    text: str


@dataclass
class Walk:
    """What is known while the leaves go by in their order."""

    findings: list[Finding] = field(default_factory=list)
    edge: Edge = field(default_factory=Edge)
    streams: dict[Any, tuple[int, str]] = field(default_factory=dict)
    rows: dict[str, int] = field(
        default_factory=dict
    )  # that entries sealed the state of, with the newest index
    checkpoints: dict[int, bytes] = field(default_factory=dict)
    texts: Texts = field(default_factory=Texts)
    roots_checked: int = 0

    def find(self, index: int | None, text: str) -> None:
        self.findings.append(Finding(index, text))


@dataclass(frozen=True)
class Report:
    """What an examination found, and how much it looked at."""

    size: int
    checkpoints: int
    rows: int
    findings: list[Finding]

    @property
    def first(self) -> Finding | None:
        """The earliest place where the log does not fit; findings outside the log come after it."""
        inside = [one for one in self.findings if one.index is not None]
        return min(inside, key=lambda one: one.index or 0) if inside else next(iter(self.findings), None)


def examine(keys: Sequence[Verifier], *, pinned: Iterable[str] = (), at_length: bool = True) -> Report:
    """Look at everything in one snapshot. `pinned` are checkpoint notes that were kept outside.

    `at_length`: also at what lies beside the log and may be slow to read.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        walk = Walk()
        _read_checkpoints(walk, keys, pinned)
        _walk_leaves(walk)
        _compare_tiles(walk)
        _compare_head(walk)
        _find_strays(walk)
        for index, fault in walk.texts.close():
            walk.find(index, fault)
        for fault in guarded.faults():
            walk.find(None, fault)
        rows = sum(_compare_rows(walk, model) for model in governed())
        for row_id, told in walk.rows.items():
            walk.find(None, f"The row {row_id} that entry {told} tells of is gone.")
        beside = settings.LEDGER_EXAMINED_AT_LENGTH if at_length else []
        for path in (*settings.LEDGER_EXAMINED_TOO, *beside):
            for fault in import_string(path)():
                walk.find(None, fault)
    return Report(walk.edge.size, walk.roots_checked, rows, walk.findings)


def governed() -> list[type[Coupled]]:
    """The models whose every version has an entry."""
    return [
        model
        for model in apps.get_models()
        if issubclass(model, Coupled) and state.free_columns(model._meta.db_table) is not None
    ]


def _read_checkpoints(walk: Walk, keys: Sequence[Verifier], pinned: Iterable[str]) -> None:
    for row in Checkpoint.objects.order_by("size"):
        try:
            signed = checkpoint.read(row.note, keys)
        except BadNote as bad:
            walk.find(row.size, f"The stored checkpoint of {row.size} entries is not signed: {bad}.")
            continue
        if (signed.size, signed.root) != (row.size, bytes(row.root)):
            walk.find(row.size, f"The stored checkpoint of {row.size} entries differs from its signed note.")
        walk.checkpoints[signed.size] = signed.root
    for note in pinned:
        signed = checkpoint.read(note, keys)
        known = walk.checkpoints.setdefault(signed.size, signed.root)
        if known != signed.root:
            walk.find(signed.size, f"Two different logs of {signed.size} entries were signed: a fork.")


def _walk_leaves(walk: Walk) -> None:
    _compare_root(walk)
    for index, placed, *row in _rows(ENTRIES):
        if index != walk.edge.size:
            walk.find(walk.edge.size, f"Index {walk.edge.size} is missing: the next leaf has index {index}.")
            walk.edge.size = index
        _examine_entry(walk, index, bytes(placed), row)
        walk.edge.extend([bytes(placed)])
        _compare_root(walk)
    for size in walk.checkpoints:
        if size > walk.edge.size:
            walk.find(
                walk.edge.size,
                f"The log has {walk.edge.size} entries, but {size} were signed: its end was cut off.",
            )


def _compare_root(walk: Walk) -> None:
    signed = walk.checkpoints.get(walk.edge.size)
    if signed is None:
        return
    walk.roots_checked += 1
    if signed != walk.edge.root():
        walk.find(
            walk.edge.size,
            f"The first {walk.edge.size} entries are not those of the signed checkpoint.",
        )


def _examine_entry(walk: Walk, index: int, placed: bytes, row: list[Any]) -> None:
    entry_id, stream, version, kind, subject, actor, at, body, claimed, *listed = row
    if entry_id is None:
        walk.find(index, f"The entry of index {index} was deleted: its leaf is left.")
        return
    body = bytes(body)
    if merkle.leaf_hash(body) != placed:
        walk.find(index, f"Entry {index} was altered: its bytes are not those that were sealed.")
        return
    if bytes(claimed) != placed:
        walk.find(index, f"The stored hash of entry {index} was altered.")
    try:
        said = parse(body)
    except NotCanonical as bad:
        walk.find(index, f"Entry {index} is not canonical: {bad}.")
        return
    shown = {
        "id": str(entry_id), "stream": str(stream), "stream_version": version, "type": kind,
        "subject": subject, "time": timestamp(at),
    }  # fmt: skip
    wrong = [name for name, value in shown.items() if said.get(name) != value]
    wrong += ["actor"] if said["actor"]["id"] != actor else []
    if wrong:
        walk.find(index, f"Entry {index} is listed with another {wrong[0]} than its sealed bytes say.")
    elif listed != [kind, subject, actor, at]:
        walk.find(
            index,
            f"Entry {index} is found by another search than its own: its leaf says something else of it.",
        )
    walk.texts.see(index, entry_id, said)
    _follow_stream(walk, index, said, placed)


def _follow_stream(walk: Walk, index: int, said: dict[str, Any], placed: bytes) -> None:
    version, previous = walk.streams.get(said["stream"], (0, None))
    if (said["stream_version"], said["prev"]) != (version + 1, previous):
        walk.find(
            index,
            f"Entry {index} does not follow its predecessor: it is version {said['stream_version']}"
            f" of its row, and version {version} came before it.",
        )
    walk.streams[said["stream"]] = (said["stream_version"], placed.hex())
    if said["state"] is not None:
        walk.rows[said["stream"]] = index


def _compare_tiles(walk: Walk) -> None:
    """Grow the tree anew from the leaves and hold every stored tile against it."""
    edge = Edge()
    known = {
        (level, index): hashlib.sha256(bytes(data)).digest() if width * HASH == len(data) else b""
        for level, index, width, data in _rows("SELECT level, index, width, data FROM audit_tile")
    }
    batch: list[bytes] = []
    expected: dict[tuple[int, int], bytes] = {}
    for (leaf,) in _rows("SELECT leaf_hash FROM audit_leaf ORDER BY index"):
        batch.append(bytes(leaf))
        if len(batch) == WIDTH:
            expected.update(_digests(edge.extend(batch)))
            batch = []
    expected.update(_digests(edge.extend(batch)))
    for place in sorted(expected.keys() | known.keys()):
        if expected.get(place) != known.get(place):
            level, index = place
            last = (
                (index + 1) << 8 * (level + 1)
            ) - 1  # a leaf that is wrong itself is named before its tiles
            walk.find(last, f"Tile {level}/{index} does not fit the leaves below it.")


def _digests(tiles: dict[tuple[int, int], bytes]) -> dict[tuple[int, int], bytes]:
    return {place: hashlib.sha256(data).digest() for place, data in tiles.items()}


def _compare_head(walk: Walk) -> None:
    head = next(_rows("SELECT size, root FROM audit_head WHERE id = 1"), (0, merkle.EMPTY_ROOT))
    if (head[0], bytes(head[1])) != (walk.edge.size, walk.edge.root()):
        walk.find(walk.edge.size, f"The head of the log ({head[0]} entries) does not fit its leaves.")


def _find_strays(walk: Walk) -> None:
    for entry_id, kind, subject in _rows(STRAY):
        walk.find(
            None, f"Entry {entry_id} ({kind} of {subject}) has no place in the log and does not wait for one."
        )


def _compare_rows(walk: Walk, model: type[Coupled]) -> int:
    """Each governed row is at the version, and in the state, that its newest entry tells; none is gone."""
    table = connection.ops.quote_name(model._meta.db_table)
    name = str(model._meta.verbose_name)
    count = 0
    newest = f"""
        SELECT r.id, r.version, e.stream_version, e.body FROM {table} r LEFT JOIN LATERAL (
            SELECT stream_version, body FROM audit_entry WHERE stream = r.id ORDER BY stream_version DESC LIMIT 1
        ) e ON true ORDER BY r.id"""  # noqa: S608 - a table of the models
    for row_id, version, told, body in _rows(newest):
        count += 1
        walk.rows.pop(str(row_id), None)
        if told is None:
            walk.find(None, f"The {name} {row_id} has no entry.")
        elif told != version:
            walk.find(
                None, f"The {name} {row_id} is at version {version}, but its newest entry tells {told}."
            )
        else:
            _compare_row(walk, model, row_id, bytes(body))
    return count


def _compare_row(walk: Walk, model: type[Coupled], row_id: Any, body: bytes) -> None:
    try:
        sealed = parse(body)["state"]
    except NotCanonical:
        return  # found with its leaf already
    if sealed is None:
        return
    with connection.cursor() as cursor:
        columns = sealed["columns"].split()
        cursor.execute(
            "SELECT audit_row_digest(%s::regclass, %s, %s)", [model._meta.db_table, row_id, columns]
        )
        if cursor.fetchone()[0] != sealed["digest"]:
            name = str(model._meta.verbose_name)
            walk.find(None, f"The {name} {row_id} was edited: it is not as its newest entry sealed it.")


def _rows(sql: str) -> Iterator[tuple[Any, ...]]:
    """Rows a chunk at a time: the log is larger than memory."""
    with connection.chunked_cursor() as cursor:
        cursor.execute(sql)
        while chunk := cursor.fetchmany(CHUNK):
            yield from chunk
