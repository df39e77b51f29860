"""Writes the log into a directory that anybody can check without us. Only what is sealed is written."""

import shutil
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from django.conf import settings
from django.db import connection

import audit.verify
from audit.canonical import canonical
from audit.ledger import checkpoint, openings, stamped, succession
from audit.models import Checkpoint
from audit.refusals import NotFound

README = """This is the ledger of {origin} up to {size} entries.

entries.jsonl            the sealed bytes of each entry, one a line, in the order of the log
openings.jsonl           where it was asked for: the texts that people typed, with what proves them
checkpoints.txt          every signed checkpoint, oldest first
keys/                    where the log got another key: each step from one to the next, and its proof
timestamps/              checkpoints that a timestamp authority (RFC 3161) saw, and its answers, where one was asked
countersign-verify.py    checks all of it with Python alone: no network, no database, no other code

    python3 countersign-verify.py export . --trust trust.json

The trust.json here comes from the same place as the log. Use the one that you keep, or compare its keys with those that
you noted earlier, and pass a checkpoint that you kept elsewhere with --pinned: only that shows whether the whole log
was exchanged.
"""


def write(folder: Path, *, with_texts: bool = False) -> Checkpoint:
    """Write the sealed log; answers the checkpoint that covers it."""
    signed = stamped.leaving()
    if signed is None:
        raise NotFound("Nothing was exported: no checkpoint is signed yet.")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "entries.jsonl").open("wb") as file:
        for body in bodies(signed.size):
            file.write(body + b"\n")
    if with_texts:
        with (folder / "openings.jsonl").open("wb") as file:
            file.writelines(texts(signed.size))
    notes = checkpoint.notes(signed.size)
    (folder / "checkpoints.txt").write_text("\n".join(notes), "utf-8")
    for name, data in chain(succession.files(0, signed.size), stamped.files(0, signed.size)):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
    (folder / "trust.json").write_bytes(checkpoint.trust(signed.size))
    (folder / "README.txt").write_text(
        README.format(origin=settings.LEDGER_ORIGIN, size=signed.size), "utf-8"
    )
    shutil.copyfile(str(audit.verify.__file__), folder / "countersign-verify.py")
    return signed


def bodies(size: int, *, first: int = 0) -> Iterator[bytes]:
    """The sealed bytes of the entries from the first one to the size, in the order of the log."""
    return (body for _, body in numbered(size, first=first) if body is not None)


def numbered(size: int, *, first: int = 0) -> Iterator[tuple[int, bytes | None]]:
    """The same with the place of each; None where a leaf has lost its entry. A place that is gone is passed over."""
    begin = first
    while begin < size:
        end = min(begin + 1000, size)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT l.index, e.body FROM audit_leaf l LEFT JOIN audit_entry e ON e.id = l.entry_id"
                " WHERE l.index >= %s AND l.index < %s ORDER BY l.index",
                [begin, end],
            )
            for index, body in cursor.fetchall():
                yield index, None if body is None else bytes(body)
        begin = end


def texts(end: int, *, first: int = 0) -> Iterator[bytes]:
    """What these entries commit to and what was not erased since, a line each, with what proves it."""
    for index, one in openings.lines(end, first=first):
        told = {"index": index, "path": one.path, "salt": one.salt.hex(), "value": one.value}
        yield canonical(told) + b"\n"
