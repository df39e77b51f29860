"""`manage.py doctor`: whether this installation is well, part by part."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from config import doctor

MARKS = {"ok": "  ok ", "look": "LOOK ", "ill": " ILL "}


class Command(BaseCommand):
    """Exits with 0 when all is well, 1 when something is ill, 2 when somebody should look."""

    help = "Look at every part of the installation; say what is wrong and what to do."
    requires_system_checks: list[str] = []  # it tells of what they find
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_: Any, **options: Any) -> None:
        found = doctor.examine()
        verdicts = {one.verdict for one in found}
        worst = next((one for one in ("ill", "look") if one in verdicts), "ok")
        if options["json"]:
            said = {"verdict": worst, "findings": [one._asdict() for one in found]}
            self.stdout.write(json.dumps(said))
        else:
            for one in found:
                self.stdout.write(f"{MARKS[one.verdict]} {one.part}: {one.says}")
                if one.do:
                    self.stdout.write(f"      {one.do}")
        if worst != "ok":
            raise SystemExit(1 if worst == "ill" else 2)
