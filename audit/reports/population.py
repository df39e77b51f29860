"""A list of entries as an auditor takes it along: CSV or JSON Lines, and a manifest that says what it must amount to.

Whoever has a bundle of the same log holds each row against its entry, without us: `countersign-verify.py population`.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from audit.canonical import NotCanonical, canonical, parse
from audit.clock import database_time
from audit.ledger import checkpoint, openings, pack
from audit.ledger.entry import Actor
from audit.ledger.personal import Erasable
from audit.ledger.record import record, timestamp
from audit.models import Checkpoint, Leaf
from audit.names import Names
from audit.refusals import Invalid, NotFound
from audit.reports import manifest, sheet
from audit.reports.left import left
from audit.reports.material import new_file

UNDONE = "Nothing was exported"
FORMS = {"csv": "entries.csv", "jsonl": "entries.jsonl"}
MOST = 100_000  # rows of a list in the browser; the whole log leaves by `manage.py ledger export`
CHUNK = 1000
COLUMNS = (
    "index", "time", "kind", "subject", "actor", "actor_name", "actor_kind", "auth", "stream",
    "stream_version", "leaf_hash", "data", "texts",
)  # fmt: skip


@dataclass
class Told:
    """What a list amounts to, known once it is written."""

    places: list[int] = field(default_factory=list)
    totals: Counter[str] = field(default_factory=Counter)
    digest: str = ""  # of the manifest

    @property
    def rows(self) -> int:
        return len(self.places)

    def counted(self, leaves: Iterable[Leaf]) -> Iterator[Leaf]:
        for leaf in leaves:
            self.totals[leaf.entry.kind] += 1
            self.places.append(leaf.index)
            yield leaf


def write(folder: Path, leaves: Iterable[Leaf], *, query: str, signed: Checkpoint, by: Actor) -> int:
    """Write the list of these leaves and its manifest; how many rows. That it was taken is an entry."""
    folder.mkdir(parents=True, exist_ok=True)
    told = Told()
    for name, pieces in members(leaves, "csv", told, query=query, signed=signed, by=by):
        with (folder / name).open("wb") as file:
            file.writelines(pieces)
    with transaction.atomic():
        record(
            "population.created", of=None, subject="ledger", actor=by, query=Erasable(query), rows=told.rows,
            digest=told.digest,
        )  # fmt: skip
    return told.rows


def take(found: QuerySet[Leaf], form: str, *, query: str, by: Actor) -> tuple[str, Iterator[bytes]]:
    """What a search finds, as a zip of the list and its manifest: name and pieces. That it was taken is an entry."""
    if form not in FORMS:
        raise Invalid(f"{UNDONE}: a list is one of {', '.join(FORMS)}.", errors=_at("format", "is no form"))
    signed = checkpoint.latest()
    if signed is None:
        raise NotFound(f"{UNDONE}: no checkpoint is signed yet.")
    found = found.filter(index__lt=signed.size)
    if found.order_by()[: MOST + 1].count() > MOST:
        words = f"more than {MOST} entries fit. Narrow the search."
        raise Invalid(f"{UNDONE}: {words}", errors=_at("q", words.capitalize()))
    told, file = Told(), new_file()
    leaves = found.order_by("index").iterator(CHUNK)
    pack.write(file, members(leaves, form, told, query=query, signed=signed, by=by))
    left(
        "entries", query=query, rows=told.rows, digest=sheet.digest(file), by=by, size=signed.size,
        manifest=told.digest,
    )  # fmt: skip
    return f"countersign-entries-{signed.size}.zip", sheet.pieces(file)


def members(
    leaves: Iterable[Leaf], form: str, told: Told, *, query: str, signed: Checkpoint, by: Actor
) -> Iterator[tuple[str, Iterator[bytes]]]:
    """The list, then the manifest, when all is counted."""
    files = manifest.Files()
    name, seen = FORMS[form], told.counted(leaves)
    yield name, manifest.listed(name, _lines(seen, form), files, heads=1 if form == "csv" else 0)
    head = manifest.head("entries", signed=signed, query=query, by=by.id, at=timestamp(database_time()))
    places = told.places
    data, told.digest = manifest.sealed(
        {
            **head, "files": files, "rows": told.rows, "totals": told.totals,
            "min_index": places[0] if places else None, "max_index": places[-1] if places else None,
        }
    )  # fmt: skip
    yield manifest.NAME, iter([data])


def _lines(leaves: Iterator[Leaf], form: str) -> Iterator[bytes]:
    """CSV, or JSON Lines of what was sealed, as it was: no cell of it is made harmless for a spreadsheet."""
    if form == "csv":
        yield sheet.line(COLUMNS)
    for leaf, row in cells(leaves):
        if form == "csv":
            yield sheet.line(row)
            continue
        told = {
            "index": leaf.index, "leaf_hash": bytes(leaf.leaf_hash).hex(), "entry": _said(leaf), "actor_name": row[5],
            "texts": parse(str(row[-1]).encode()),
        }  # fmt: skip
        yield canonical(told) + b"\n"


def cells(leaves: Iterable[Leaf]) -> Iterator[tuple[Leaf, list[object]]]:
    """Each leaf with its row: what the sealed bytes say; names and texts as far as they were not erased."""
    for some in _chunks(leaves):
        names = Names(leaf.entry.actor for leaf in some)
        texts = openings.texts(leaf.entry_id for leaf in some)
        for leaf in some:
            said, row = _said(leaf), leaf.entry
            actor, told = said.get("actor", {}), texts.get(row.pk, {})
            opened = {path: told.get(path) for path in said.get("sd", {})}
            yield leaf, [
                leaf.index, said.get("time"), row.kind, row.subject, row.actor, names.both(row.actor, row.occurred_at),
                actor.get("kind"), actor.get("auth"), row.stream, row.stream_version, bytes(leaf.leaf_hash).hex(),
                canonical(said.get("data")).decode(), canonical(opened).decode(),
            ]  # fmt: skip


def _chunks(leaves: Iterable[Leaf]) -> Iterator[list[Leaf]]:
    rest = iter(leaves)
    while some := list(islice(rest, CHUNK)):
        yield some


def _said(leaf: Leaf) -> dict[str, Any]:
    """What the sealed bytes say; an entry that was made unreadable is listed all the same."""
    try:
        said = parse(bytes(leaf.entry.body))
    except NotCanonical:
        return {}
    return said if isinstance(said, dict) else {}


def _at(name: str, words: str) -> list[dict[str, str]]:
    return [{"pointer": f"/{name}", "detail": words}]
