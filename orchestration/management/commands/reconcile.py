"""`manage.py reconcile`: one round of the reconciler, and the invariants it counted."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from orchestration import planning
from orchestration.engine import reconcile
from orchestration.logs import keeping


class Command(BaseCommand):
    """Exits with 1 when an invariant is broken."""

    help = "Heal what a crash or a lost message left behind, and count broken invariants."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_: Any, **options: Any) -> None:
        found = reconcile.reconcile()
        planned = planning.sweep()
        found = {**found, "planned": planned, **keeping.keep()} if found else found
        broken = {name: count for name, count in found.items() if name[0] == "I" and count}
        if options["json"]:
            self.stdout.write(json.dumps(found))
        elif not found:
            self.stdout.write("Another process is reconciling at this moment.")
        else:
            self.stdout.write("\n".join(f"{name}: {count}" for name, count in found.items()))
        if broken:
            raise SystemExit(1)
