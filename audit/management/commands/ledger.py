"""`manage.py ledger`: examine the log, hand it to somebody who examines it alone, archive it, try the archive out."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError

from audit import search
from audit.archive import checking, writing
from audit.archive.places import address_of
from audit.ledger import checkpoint, examine, export, roles, rotation, stamped, succession
from audit.ledger.entry import system
from audit.ledger.note import BadNote, Verifier, parse_verifier
from audit.refusals import Refusal
from audit.reports import bundle, population

SHOWN = 20
TERMINAL = system("system:terminal")
LOCKS = {
    "compliance": "each locked in compliance mode",
    "none": "in a folder: that nobody deletes from it is up to its file system",
}
PLACE = "a folder, or s3://BUCKET/PREFIX; without it, COUNTERSIGN_ARCHIVE"


class Command(BaseCommand):
    help = (
        "Examine the whole ledger, write it for others to check, list entries; archive it, try the archive out; give"
        " the log another key; set up the roles of the database."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_subparsers(dest="what", required=True)
        verify = what.add_parser(
            "verify", help="examine every entry, leaf, tile, checkpoint and governed row"
        )
        verify.add_argument("--json", action="store_true")
        verify.add_argument(
            "--key", help="the verifier key you noted earlier; without it, the one of this host"
        )
        verify.add_argument(
            "--pinned", action="append", default=[], help="file with a checkpoint kept elsewhere"
        )
        write = what.add_parser("export", help="write the sealed log into a directory")
        write.add_argument("folder", type=Path)
        write.add_argument("--json", action="store_true")
        write.add_argument("--texts", action="store_true", help="with what people typed")
        take = what.add_parser("bundle", help="write the sealed log, or a period of it, into one zip")
        take.add_argument("file", type=Path)
        take.add_argument(
            "--period", default="", help="FROM..TO, two days or moments; either may be left out"
        )
        take.add_argument("--texts", action="store_true", help="with what people typed")
        count = what.add_parser("population", help="list entries in a CSV with a manifest")
        count.add_argument("folder", type=Path)
        count.add_argument("--query", default="", help="as in the search of the log; everything without it")
        keep = what.add_parser("archive", help="write what is new of the log into its archive")
        keep.add_argument("place", nargs="?", default=settings.ARCHIVE, help=PLACE)
        restore = what.add_parser(
            "restore-check", help="restore the archive, verify it, compare it with the log"
        )
        restore.add_argument("place", nargs="?", default=settings.ARCHIVE, help=PLACE)
        restore.add_argument("--into", type=Path, help="keep the restored copy of a bucket in this folder")
        restore.add_argument(
            "--trust", type=Path, help="the trust.json that you keep; without it, that of this host"
        )

        rotate = what.add_parser("rotate-key", help="give the log a second key; later, retire the older one")
        rotate.add_argument("--retire", action="store_true", help="the older key signs no more")
        part = what.add_parser(
            "roles", help="make the database's roles for web, worker, sequencer and auditors"
        )
        part.add_argument("--check", action="store_true", help="only say what is other than it should be")

    def handle(self, *args: Any, **options: Any) -> None:
        getattr(self, options["what"].replace("-", "_"))(**options)

    def verify(self, **options: Any) -> None:
        """Exit code 1 when something does not fit."""
        pinned = [Path(path).read_text("utf-8") for path in options["pinned"]]
        try:
            keys = _keys_from(options["key"]) if options["key"] else checkpoint.keys()
            report = examine.examine(keys, pinned=pinned)
        except (BadNote, FileNotFoundError) as error:
            raise CommandError(f"Nothing was examined. {error}", returncode=2) from error
        if options["json"]:
            self.stdout.write(json.dumps(_plain(report, key=str(keys[-1]), pinned=len(pinned))))
        else:
            self._say(report, pinned=len(pinned))
        if report.findings:
            raise SystemExit(1)

    def _say(self, report: examine.Report, *, pinned: int) -> None:
        self.stdout.write(
            f"{report.size} entries, {report.checkpoints} checkpoints and {report.rows} governed rows examined."
        )
        for one in report.findings[:SHOWN]:
            self.stdout.write(f"- {one.text}")
        if len(report.findings) > SHOWN:
            self.stdout.write(f"- and {len(report.findings) - SHOWN} more")
        if report.first is not None:
            self.stdout.write(f"The ledger was altered. First: {report.first.text}")
            return
        self.stdout.write("Everything fits.")
        if why := stamped.unchecked():
            self.stdout.write(f"Not checked: who signed the timestamps. {why}")
        if not pinned:
            self.stdout.write(
                "Not checked: whether the whole log was exchanged. Pass --pinned with a checkpoint kept elsewhere."
            )

    def export(self, **options: Any) -> None:
        signed = export.write(options["folder"], with_texts=options["texts"])
        if options["json"]:
            self.stdout.write(json.dumps({"size": signed.size, "folder": str(options["folder"])}))
        else:
            self.stdout.write(
                f"{signed.size} entries written to {options['folder']}; README.txt says how to check."
            )

    def bundle(self, **options: Any) -> None:
        start, _, end = options["period"].partition("..")
        draft = options["file"].with_name(f"{options['file'].name}.new")
        try:
            made = bundle.take({"from": start, "to": end}, texts=options["texts"], by=TERMINAL)
            with draft.open("wb") as file:
                file.writelines(made.pieces())
                os.fsync(file.fileno())
            draft.replace(options["file"])
        except (Refusal, OSError) as error:
            raise CommandError(f"No bundle was written. {error}") from error
        told = f"Entries {made.about['first']} to {made.about['end'] - 1} of {made.about['size']} written to"
        self.stdout.write(f"{told} {options['file']}, {made.digest}.")

    def rotate_key(self, **options: Any) -> None:
        try:
            if options["retire"]:
                old = rotation.retire(by=TERMINAL)
                self.stdout.write(f"{old} signs no log of {old.end} entries or more, and is destroyed.")
            else:
                new = rotation.add(by=TERMINAL)
                self.stdout.write(f"From {new.begin} entries on, this key signs too:\n{new}")
                self.stdout.write(
                    "Who pinned the key before follows it by themselves. Once witnesses of others know it:"
                    " ledger rotate-key --retire"
                )
        except Refusal as error:
            raise CommandError(str(error)) from error

    def roles(self, **options: Any) -> None:
        """Exit code 1 when something is, or stays, other than it should be."""
        if options["check"]:
            found = list(roles.faults())
            self.stdout.write("\n".join(found) or "Each role may what it should, and no more.")
            raise SystemExit(int(bool(found)))
        try:
            changed = roles.settle()
        except roles.NotAllowed as error:
            raise CommandError(str(error)) from error
        if options["verbosity"]:
            names = ", ".join(roles.ROLES)
            self.stdout.write(f"{names}: {'set up' if changed else 'already as they should be'}.")

    def population(self, **options: Any) -> None:
        try:
            terms = search.parse(options["query"])
            signed = checkpoint.latest()
            if signed is None:
                raise CommandError("Nothing was listed: no checkpoint is signed yet.")
            found = search.find(terms).filter(index__lt=signed.size).order_by("index").iterator(1000)
            query = search.spell(terms)
            rows = population.write(options["folder"], found, query=query, signed=signed, by=TERMINAL)
        except (Refusal, OSError) as error:
            raise CommandError(f"Nothing was listed. {error}") from error
        self.stdout.write(f"{rows} entries listed in {options['folder']}; hold them against a bundle.")

    def archive(self, **options: Any) -> None:
        try:
            done = writing.archive(_place(options["place"]), by=TERMINAL)
        except (Refusal, LookupError) as error:
            raise CommandError(str(error)) from error
        if done is None:
            self.stdout.write("Nothing is new: everything that is signed is archived.")
            return
        self.stdout.write(
            f"Entries {done.begin} to {done.size - 1} archived in {done.files} files, {LOCKS[done.lock]}."
        )

    def restore_check(self, **options: Any) -> None:
        """Exit code 0 verified and compared, 1 altered or not kept, 2 cannot tell."""
        address = _place(options["place"])
        with tempfile.TemporaryDirectory(prefix="countersign-restore-") as work:
            trust = options["trust"]
            if trust is None:
                trust = Path(work) / "trust.json"
                trust.write_bytes(checkpoint.trust(0))
            result = checking.check(address, copy=options["into"] or Path(work) / "copy", trust=trust)
        try:
            if result.verdict == "verified":
                checking.compare(result)
            checking.tell(result, by=TERMINAL)
        except OperationalError:
            self.stdout.write(
                "Not compared with the live log, and not recorded: its database does not answer."
            )
            result.verdict = "cannot_tell" if result.verdict == "verified" else result.verdict
        for one in result.says:
            self.stdout.write(f"{result.verdict.replace('_', ' ').capitalize()}: {one}")
        if result.unchecked:
            self.stdout.write(f"Not checked: {'; '.join(result.unchecked)}.")
        code = {"verified": 0, "cannot_tell": 2}.get(result.verdict, 1)
        if code:
            raise SystemExit(code)


def _keys_from(noted: str) -> tuple[Verifier, ...]:
    """The key that somebody noted, and those that it leads to."""
    newest = checkpoint.newest()
    return succession.followed((parse_verifier(noted),), newest.size if newest else 0)


def _place(raw: str) -> str:
    if not raw:
        raise CommandError("Nothing was done: name a place, or set COUNTERSIGN_ARCHIVE.", returncode=2)
    return address_of(raw)


def _plain(report: examine.Report, *, key: str, pinned: int) -> dict[str, Any]:
    return {
        "verified": not report.findings,
        "size": report.size,
        "checkpoints": report.checkpoints,
        "rows": report.rows,
        "key": key,
        "pinned": pinned,
        "first": report.first.text if report.first else None,
        "findings": [{"index": one.index, "text": one.text} for one in report.findings],
    }
