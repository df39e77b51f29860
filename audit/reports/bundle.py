"""A bundle: the log, or a period of it, with its whole tree and the program that checks both without us.

Written into a file without a name, in pieces; that it left the house is an entry. Must never hold what is not sealed.
"""

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import chain
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.db import connection, transaction

import audit.verify
from audit.canonical import canonical
from audit.clock import database_time
from audit.ledger import checkpoint, export, pack, stamped, succession
from audit.ledger.entry import Actor
from audit.ledger.integrate import tile
from audit.ledger.record import record
from audit.ledger.tiles import HASH, path, tiles_of
from audit.models import Checkpoint, Entry
from audit.progress import Tell, watched
from audit.refusals import Invalid, NotFound, TooMany
from audit.reports import sampled, sheet
from audit.reports.period import period

AN_HOUR, MOST_AN_HOUR = timedelta(hours=1), 6  # of one account
MOST_ENTRIES = 16_000_000  # of a log; more tiles than a zip in its one form has room for
NOTES = 1000  # the newest; the tree holds those before by itself
ONE_AT_A_TIME = 0x62756E646C65  # an advisory lock: two bundles at once would be a way to fill the disk
README = """This is {what} of the ledger {origin}, as it was signed at {size} entries.

bundle.json              which entries of the log are here
checkpoints.txt          what was signed: the size and the root of the log, the newest {notes}
entries.jsonl            the sealed bytes of each entry, one a line, in the order of the log
openings.jsonl           where it was asked for: the texts that people typed, with what proves them; delete it at will
keys/                    where the log got another key: each step from one to the next, and its proof
timestamps/              checkpoints that a timestamp authority (RFC 3161) saw, and its answers, where one was asked
tile/                    the hashes of every entry of the log, and of the tree over them
sample.json, proofs/     of a sample: which items were drawn, and a .tlog-proof of each under the newest checkpoint
trust.json               the key of the log and of its workers, as this server tells them
countersign-verify.py    checks all of it with Python alone: no network, no database, no other code

Do not run the program, nor believe the trust.json, that came with what you want to check. Note both once, when you
first see this log, from the people who run it and in another way than this file; keep them, and compare. Then:

    python3 countersign-verify.py bundle FILE.zip --trust trust.json --state seen.json
    python3 countersign-verify.py signoffs FILE.zip --trust trust.json --state seen.json

It answers 0 verified, 1 altered, 2 cannot tell, 3 wrong usage, and says in words what it did not check. A sample that
is here is drawn again, and the proof of each of its items held against the newest checkpoint; one that is missing is
named. `seen.json` remembers the newest log that you have seen, so that one which was rolled back is noticed the next
time.
"""


@dataclass(frozen=True)
class Made:
    """A finished bundle: its file, what it holds, and its SHA-256."""

    file: IO[bytes]
    about: Mapping[str, Any]
    digest: str

    @property
    def name(self) -> str:
        return f"countersign-{self.about['size']}.zip"

    def pieces(self) -> Iterator[bytes]:
        """The file in pieces; closed at the end."""
        return sheet.pieces(self.file)


def take(asked: Mapping[str, str], *, texts: bool = False, by: Actor) -> Made:
    """Make a bundle of the period `[from, to)`, or of everything, and record who took it; `texts`: with openings."""
    signed = stamped.leaving()
    with transaction.atomic():
        _check_rate(by)
        if signed is None:
            raise NotFound("No bundle was made: no checkpoint is signed yet.")
        made = make(signed, asked, texts=texts)
        record(
            "bundle.created", of=None, subject="ledger", actor=by, digest=made.digest, texts=texts, **_told(made.about)
        )  # fmt: skip
    return made


def _told(about: Mapping[str, Any]) -> dict[str, Any]:
    return {name: about[name] for name in ("size", "first", "end", "from", "to")}


def _check_rate(by: Actor) -> None:
    """One at a time, and so many an hour for each account: counted in the ledger itself."""
    since = database_time() - AN_HOUR
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [ONE_AT_A_TIME])
        if not cursor.fetchone()[0]:
            raise TooMany("No bundle was made: another is being made. Try again in a minute.", retry_after=60)
    bundles = Entry.objects.filter(
        subject="ledger", kind="bundle.created"
    )  # by the subject, which has an index
    taken = bundles.filter(actor=by.id, occurred_at__gt=since)
    if by.kind != "system" and taken.count() >= MOST_AN_HOUR:
        raise TooMany(
            f"No bundle was made: you took {MOST_AN_HOUR} within an hour. Try again later.", retry_after=600
        )


def _about(signed: Checkpoint, asked: Mapping[str, str]) -> dict[str, Any]:
    """Which entries: from the first one of the period to its last one, without a gap."""
    start, end = period(asked, undone="No bundle was made")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT COALESCE(min(l.index), 0), COALESCE(max(l.index) + 1, 0), COALESCE(sum(length(e.body) + 1), 0)"
            " FROM audit_leaf l JOIN audit_entry e ON e.id = l.entry_id WHERE l.index < %s"
            " AND (%s::timestamptz IS NULL OR e.occurred_at >= %s) AND (%s::timestamptz IS NULL OR e.occurred_at < %s)",
            [signed.size, start, start, end, end],
        )
        first, last, size = cursor.fetchone()
    if first == last:
        raise Invalid("No bundle was made: no entry lies in this period.")
    if size + signed.size * HASH > pack.MOST or signed.size > MOST_ENTRIES:
        raise Invalid(
            "No bundle was made: it would be larger than 2 GB. Choose a period, or use manage.py ledger export."
        )
    return {
        "v": 1, "origin": settings.LEDGER_ORIGIN, "size": signed.size, "first": first, "end": last,
        "from": asked.get("from", ""), "to": asked.get("to", ""),
    }  # fmt: skip


def make(signed: Checkpoint, asked: Mapping[str, str], *, texts: bool = False, tell: Tell = bool) -> Made:
    """The same without an entry; `tell` hears how many entries were written, and may stop it."""
    about = _about(signed, asked)
    file = tempfile.TemporaryFile()  # noqa: SIM115 - Made.pieces closes it
    more = sampled.members(asked, signed)
    pack.write(file, members(signed, about, texts=texts, more=more, tell=tell))
    return Made(file, about, sheet.digest(file))


def members(
    signed: Checkpoint,
    about: Mapping[str, Any],
    *,
    texts: bool = False,
    more: Iterable[tuple[str, Iterator[bytes]]] = (),
    tell: Tell = bool,
) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Name and content of each file, in the order in which the verifier expects them."""
    notes = checkpoint.notes(signed.size, most=NOTES)
    whole = about["end"] - about["first"] == signed.size
    what = "the whole" if whole else f"entries {about['first']} to {about['end'] - 1}"
    readme = README.format(what=what, origin=about["origin"], size=signed.size, notes=len(notes))
    program = Path(str(audit.verify.__file__)).read_bytes()
    entries = export.bodies(about["end"], first=about["first"])
    yield "README.txt", iter([readme.encode()])
    yield "bundle.json", iter([canonical(about)])
    yield "checkpoints.txt", iter(["\n".join(notes).encode()])
    yield "countersign-verify.py", iter([program])
    yield "entries.jsonl", (body + b"\n" for body in watched(entries, tell))
    if texts:
        yield "openings.jsonl", export.texts(about["end"], first=about["first"])
    yield "trust.json", iter([checkpoint.trust(signed.size)])
    yield from more
    for name, data in chain(succession.files(0, signed.size), stamped.files(0, signed.size)):
        yield name, iter([data])
    for level, index, width in tiles_of(signed.size):
        yield f"tile/{path(level, index, width)}", iter([tile(level, index)[: width * HASH]])
