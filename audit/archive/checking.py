"""Tries an archive out: fetches all of it, has the offline verifier read it, holds it against the live log.

What came of it is an entry, also where it is bad news. Changes nothing in the archive.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from django.conf import settings
from django.db import transaction

import audit.verify
from audit.archive import known, layout
from audit.archive.places import Folder, NoAnswer, NotKept, Place, place
from audit.canonical import NotCanonical, parse
from audit.ledger import checkpoint, proofs
from audit.ledger.entry import Actor
from audit.ledger.note import BadNote
from audit.ledger.record import record, timestamp
from audit.models import Checkpoint

Verdict = Literal["verified", "altered", "not_kept", "cannot_tell"]


@dataclass
class Result:
    """What was found: of how many entries, in sentences, and what nobody looked at."""

    address: str
    verdict: Verdict = "verified"
    size: int = 0
    manifest: str = ""
    note: str = ""
    until: datetime | None = None
    says: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()


def check(address: str, *, copy: Path, trust: Path) -> Result:
    """Restore the archive into `copy` where it is no folder itself, and read all of it; needs no database."""
    result = Result(address)
    try:
        folder = Path(address)
        if address.startswith("s3://"):
            folder, result.until = copy, fetch(address, copy)
        _read(result, folder, trust)
    except audit.verify.Altered as fault:
        result.verdict, result.says = "altered", (f"{fault}.",)
    except (audit.verify.CannotTell, NoAnswer, OSError) as why:
        result.verdict, result.says = "cannot_tell", (f"{why}",)
    except NotKept as fault:
        result.verdict, result.says = "not_kept", (f"{fault}",)
    return result


def _read(result: Result, folder: Path, trust: Path) -> None:
    """What the offline verifier says of the folder."""
    args = audit.verify.arguments().parse_args(["archive", str(folder), "--trust", str(trust)])
    said, unchecked = args.check(args)
    archive = audit.verify.Archive(folder)
    manifest = (folder / layout.manifest_name(archive.size)).read_bytes()
    result.manifest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
    result.size, result.note = archive.size, archive.manifests[0]["checkpoint"]
    result.says, result.unchecked = tuple(said), tuple(unchecked)


def fetch(address: str, into: Path) -> datetime | None:
    """Copy each file that the manifests name, in the version that they name; until when all are locked."""
    there, here = place(address, days=settings.ARCHIVE_DAYS), Folder(into)
    untils = [until for until in _copied(there, here) if until is not None]
    return min(untils, default=None)


def _copied(there: Place, here: Folder) -> Iterator[datetime | None]:
    size, version = there.newest(), ""
    if not size:
        raise NotKept("There is no archive yet: it holds no manifest.")
    while size:
        held = there.get(layout.manifest_name(size), version)
        here.put(layout.manifest_name(size), held.data)
        yield held.until
        said = _manifest(held.data)
        for one in said["files"]:
            held = there.get(one["name"], one["version"])
            here.put(one["name"], held.data)
            yield held.until
        size, version = said["from"], said["before_version"]


def _manifest(data: bytes) -> dict[str, Any]:
    """As far as is needed to copy what it names; the verifier reads the rest of it."""
    try:
        said: dict[str, Any] = parse(data)
        names = [one["name"] for one in said["files"]]
        fit = all(audit.verify.NAME.fullmatch(one.encode()) and ".." not in one for one in names)
        if fit and 0 <= said["from"] < said["size"]:
            return said
    except (NotCanonical, AttributeError, KeyError, TypeError) as error:
        raise audit.verify.Altered("a manifest is not written as manifests are") from error
    raise audit.verify.Altered("a manifest does not say which files are there")


def compare(result: Result) -> None:
    """Hold a verified archive against the live log: the log goes on from it, and knows of it."""
    fault = _fault(result)
    result.says = (*result.says, fault or "The live log begins with it and has an entry of it.")
    if fault:
        result.verdict = "altered"


def _fault(result: Result) -> str:
    newest, told = checkpoint.latest(), [data for _, data in known.of(known.WRITTEN)]
    if newest is None or newest.size < result.size:
        here = newest.size if newest else 0
        return f"The live log has {here} entries and its archive {result.size}: it was rolled back, or is another."
    try:
        signed = checkpoint.read(result.note, checkpoint.keys())
        proofs.consistency(Checkpoint(size=signed.size, root=signed.root, note=result.note), newest)
    except (proofs.ProofDoesNotHold, BadNote, LookupError) as error:
        return f"The live log is not the one that was archived: {error}."
    if all(one["manifest"] != result.manifest for one in told):
        return (
            "No entry of the live log tells of this archive: its newest manifest was made by somebody else."
        )
    later = [one["size"] for one in told if one["place"] == result.address and one["size"] > result.size]
    if later:
        return f"The archive ends at {result.size} entries, and {max(later)} were archived there: its end is missing."
    return ""


def tell(result: Result, *, by: Actor) -> None:
    """Record what was found."""
    with transaction.atomic():
        record(
            "archive.checked", of=None, subject="ledger", actor=by, place=result.address, size=result.size,
            manifest=result.manifest, verdict=result.verdict, detail=" ".join(result.says)[:2000],
            until=timestamp(result.until) if result.until else None, days=settings.ARCHIVE_DAYS,
        )  # fmt: skip
