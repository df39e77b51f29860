"""`manage.py worker key|list|enrol|retire`: which hosts may run steps, decided where the workers' keys are."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from approvals import keys
from audit.ledger.entry import system
from audit.refusals import Refusal
from orchestration.engine import enrolled
from orchestration.models import Worker

TERMINAL = system("system:terminal")


class Command(BaseCommand):
    help = "Print this host's key; list, enrol or retire workers."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("act", choices=["key", "list", "enrol", "retire"])
        parser.add_argument("name", nargs="?", default="")
        parser.add_argument("--key", default="", help="what `manage.py worker key` prints on that host")
        parser.add_argument("--environments", default="", help="with commas between them; * for all")
        parser.add_argument("--labels", default="", help="with commas between them")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self.stdout.write(getattr(self, f"_{options['act']}")(options))
        except (Refusal, keys.KeyNotHeld) as refusal:
            raise CommandError(str(refusal), returncode=1) from refusal

    def _key(self, options: dict[str, Any]) -> str:
        return keys.public("identity")

    def _list(self, options: dict[str, Any]) -> str:
        rows = Worker.objects.order_by("retired_at", "name")
        return "\n".join(map(_line, rows)) or "No worker is enrolled; the first to start enrols itself."

    def _enrol(self, options: dict[str, Any]) -> str:
        made = enrolled.enrol(
            name=options["name"],
            public_key=options["key"],
            environments=_split(options["environments"]),
            labels=_split(options["labels"]),
            by=TERMINAL,
        )
        return f"{made.name} may run steps in {', '.join(made.environments)}. Start its worker, or start it again."

    def _retire(self, options: dict[str, Any]) -> str:
        return f"{enrolled.retire(options['name'], by=TERMINAL).name} takes no further step."


def _split(text: str) -> list[str]:
    return [one.strip() for one in text.split(",") if one.strip()]


def _line(row: Worker) -> str:
    state = "retired" if row.retired_at else "enrolled"
    labels = ",".join(row.labels) or "-"
    return f"{row.name:20} {state:8} {','.join(row.environments):30} {labels:20} {row.public_key[:16]}"
