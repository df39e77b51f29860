"""`manage.py ledger verify|export|bundle|population`: examine the log, or hand it to somebody who examines it alone."""

import json
import os
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit import search
from audit.ledger import checkpoint, examine, export
from audit.ledger.entry import system
from audit.ledger.note import BadNote, parse_verifier
from audit.refusals import Refusal
from audit.reports import bundle, population

SHOWN = 20
TERMINAL = system("system:terminal")


class Command(BaseCommand):
    help = "verify: examine the whole ledger. export, bundle: write it for others to check. population: list entries."

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
        take = what.add_parser("bundle", help="write the sealed log, or a period of it, into one zip")
        take.add_argument("file", type=Path)
        take.add_argument(
            "--period", default="", help="FROM..TO, two days or moments; either may be left out"
        )
        count = what.add_parser("population", help="list entries in a CSV with a manifest")
        count.add_argument("folder", type=Path)
        count.add_argument("--query", default="", help="as in the search of the log; everything without it")

    def handle(self, *args: Any, **options: Any) -> None:
        getattr(self, options["what"])(**options)

    def verify(self, **options: Any) -> None:
        """Exit code 1 when something does not fit."""
        pinned = [Path(path).read_text("utf-8") for path in options["pinned"]]
        try:
            key = parse_verifier(options["key"]) if options["key"] else checkpoint.verifier()
            report = examine.examine(key, pinned=pinned)
        except (BadNote, FileNotFoundError) as error:
            raise CommandError(f"Nothing was examined. {error}", returncode=2) from error
        if options["json"]:
            self.stdout.write(json.dumps(_plain(report, key=str(key), pinned=len(pinned))))
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
        if not pinned:
            self.stdout.write(
                "Not checked: whether the whole log was exchanged. Pass --pinned with a checkpoint kept elsewhere."
            )

    def export(self, **options: Any) -> None:
        signed = export.write(options["folder"])
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
            made = bundle.take({"from": start, "to": end}, by=TERMINAL)
            with draft.open("wb") as file:
                file.writelines(made.pieces())
                os.fsync(file.fileno())
            draft.replace(options["file"])
        except (Refusal, OSError) as error:
            raise CommandError(f"No bundle was written. {error}") from error
        told = f"Entries {made.about['first']} to {made.about['end'] - 1} of {made.about['size']} written to"
        self.stdout.write(f"{told} {options['file']}, {made.digest}.")

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
