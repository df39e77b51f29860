"""Writes what is new of the log into its archive, up to the newest checkpoint; last the manifest, then its entry.

Never archives what is not sealed: each entry is held against its tile, and the tiles against the signed root.
"""

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction

import audit.verify
from audit.alone import alone
from audit.archive import known, layout
from audit.archive.places import Held, Place, place
from audit.canonical import canonical
from audit.clock import database_time
from audit.ledger import export, merkle, stamped, succession
from audit.ledger.entry import Actor, system
from audit.ledger.integrate import tile
from audit.ledger.record import record, timestamp
from audit.ledger.tiles import HASH, hashes, nodes
from audit.models import Checkpoint
from audit.refusals import Invalid, NotFound, Refusal, TooMany

LOCK = 0x61726368697665  # advisory lock of whoever archives
NIGHTLY = timedelta(hours=23)
KEEPER = system("system:archive")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Written:
    """What an archive took: entries from the one up to the other, in so many files."""

    begin: int
    size: int
    files: int
    lock: str


def nightly() -> None:
    """Once a day, where an archive is set; whoever wants to know why it was not asks the doctor, or tries by hand."""
    if not settings.ARCHIVE:
        return
    newest = known.last(known.WRITTEN, settings.ARCHIVE)
    if newest is not None and newest[0].occurred_at > database_time() - NIGHTLY:
        return
    try:
        archive(settings.ARCHIVE, by=KEEPER)
    except (Refusal, LookupError) as error:
        log.warning("the log was not archived: %s", error)


def archive(address: str, *, by: Actor) -> Written | None:
    """Bring the archive up to the newest checkpoint, and record it; None when it is there already."""
    with alone(LOCK) as mine:
        if not mine:
            raise TooMany("Nothing was archived: another process is at it.", retry_after=600)
        signed, before = stamped.leaving(), _before(address)
        if signed is None:
            raise NotFound("Nothing was archived: no checkpoint is signed yet.")
        begin = before["size"] if before else 0
        if begin == signed.size:
            return None
        there = place(address, days=settings.ARCHIVE_DAYS)
        _check(there, signed, before)
        files = [_put(there, name, data) for name, data in contents(begin, signed)]
        manifest = _manifest(signed, before, files)
        held = there.put(layout.manifest_name(signed.size), manifest)
        _tell(held, hashlib.sha256(manifest).hexdigest(), by=by, told={
            "place": address, "from": begin, "size": signed.size, "files": len(files), "lock": there.lock,
            "days": settings.ARCHIVE_DAYS,
        })  # fmt: skip
    return Written(begin, signed.size, len(files), there.lock)


def _tell(held: Held, digest: str, *, by: Actor, told: dict[str, Any]) -> None:
    until = timestamp(held.until) if held.until else None
    with transaction.atomic():
        record(
            "archive.written", of=None, subject="ledger", actor=by, manifest=f"sha256:{digest}",
            version=held.version, until=until, **told,
        )  # fmt: skip


def _before(address: str) -> dict[str, Any]:
    """What the newest entry tells of this archive; nothing where there is none."""
    found = known.last(known.WRITTEN, address)
    return found[1] if found else {}


def _check(there: Place, signed: Checkpoint, before: dict[str, Any]) -> None:
    """That this log goes on with what is archived, which is kept for no less long than before."""
    if there.newest() > signed.size:
        raise Invalid(
            f"Nothing was archived: the archive holds {there.newest()} entries and this log has {signed.size}."
            " It is of another log, or this database is older than its archive."
        )
    if before and before["days"] > settings.ARCHIVE_DAYS:
        raise Invalid(
            f"Nothing was archived: so far each file is kept for {before['days']} days, and"
            f" COUNTERSIGN_ARCHIVE_DAYS says {settings.ARCHIVE_DAYS}. Set it back, or choose another place."
        )
    if merkle.root_of(0, signed.size, nodes(cache(tile))) != bytes(signed.root):
        raise Invalid("Nothing was archived: the log was altered. Run: manage.py ledger verify")


def contents(begin: int, signed: Checkpoint) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each file that the archive does not have yet, and the program that checks them."""
    for file in layout.between(begin, signed.size):
        if file.level is None:
            yield file.name, layout.packed(_entries(file))
        else:
            yield file.name, tile(file.level, file.index)[: file.width * HASH]
    yield from succession.files(begin, signed.size)
    yield from stamped.files(begin, signed.size)
    program = Path(str(audit.verify.__file__)).read_bytes()
    yield layout.program_name(program), program


def _entries(file: layout.File) -> Iterator[bytes]:
    """The entries below a tile, each once it is the one that was sealed there."""
    first, end = layout.entries_of(file)
    sealed = hashes(tile(0, file.index))
    bodies = list(export.bodies(end, first=first))
    if [merkle.leaf_hash(body) for body in bodies] != sealed[: file.width]:
        raise Invalid(
            f"Nothing was archived: of the entries {first} to {end - 1} one is missing or was altered."
            " Run: manage.py ledger verify"
        )
    yield from bodies


def _put(there: Place, name: str, data: bytes) -> dict[str, str]:
    held = there.put(name, data)
    return {"name": name, "sha256": hashlib.sha256(data).hexdigest(), "version": held.version}


def _manifest(signed: Checkpoint, before: dict[str, Any], files: list[dict[str, str]]) -> bytes:
    """What is there, and by its digest the manifest before: the newest one vouches for the whole archive."""
    return canonical(
        {
            "v": 1, "origin": settings.LEDGER_ORIGIN, "size": signed.size, "files": files,
            "checkpoint": signed.cosigned, "from": before.get("size", 0), "before": before.get("manifest", ""),
            "before_version": before.get("version", ""),
        }
    )  # fmt: skip
