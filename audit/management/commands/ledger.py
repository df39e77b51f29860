"""`manage.py ledger verify|export`: examine the log, or hand it to somebody who examines it alone."""

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit.ledger import checkpoint, examine, export
from audit.ledger.note import BadNote, parse_verifier

SHOWN = 20


class Command(BaseCommand):
    help = "verify: examine the whole ledger. export: write it with a verifier that needs nothing else."

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
