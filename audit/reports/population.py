"""A list of entries as an auditor takes a sample from: a CSV, and a manifest that says what it must amount to.

Whoever has a bundle of the same log holds each row against its entry, without us: `countersign-verify.py population`.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from django.db import transaction

from audit.canonical import NotCanonical, canonical, parse
from audit.clock import database_time
from audit.ledger import openings
from audit.ledger.entry import Actor
from audit.ledger.personal import Erasable
from audit.ledger.record import record, timestamp
from audit.models import Checkpoint, Leaf
from audit.names import Names
from audit.reports import sheet

NAME = "entries.csv"
CHUNK = 1000
COLUMNS = (
    "index", "time", "kind", "subject", "actor", "actor_name", "actor_kind", "auth", "stream",
    "stream_version", "leaf_hash", "data", "texts",
)  # fmt: skip


def write(folder: Path, leaves: Iterable[Leaf], *, query: str, signed: Checkpoint, by: Actor) -> int:
    """Write the list of these leaves and its manifest; how many rows. That it was taken is an entry."""
    folder.mkdir(parents=True, exist_ok=True)
    seen, totals, places = hashlib.sha256(), Counter[str](), list[int]()
    with (folder / NAME).open("wb") as file:
        for row in (COLUMNS, *_counted(leaves, totals, places)):
            line = sheet.line(row)
            seen.update(line)
            file.write(line)
    told = {
        "v": 1, "of": "entries", "checkpoint": signed.note, "query": query, "made_at": timestamp(database_time()),
        "files": [{"name": NAME, "sha256": seen.hexdigest(), "rows": len(places)}], "rows": len(places),
        "min_index": places[0] if places else None, "max_index": places[-1] if places else None, "totals": totals,
    }  # fmt: skip
    digest = hashlib.sha256(canonical(told)).hexdigest()
    (folder / "manifest.json").write_bytes(canonical({**told, "digest": digest}))
    with transaction.atomic():
        record(
            "population.created", of=None, subject="ledger", actor=by, query=Erasable(query), rows=len(places),
            digest=f"sha256:{digest}",
        )  # fmt: skip
    return len(places)


def _counted(leaves: Iterable[Leaf], totals: Counter[str], places: list[int]) -> Iterator[list[object]]:
    for leaf, row in cells(leaves):
        totals[leaf.entry.kind] += 1
        places.append(leaf.index)
        yield row


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
