"""`manage.py workflow check|install DIRECTORY`: for a terminal and for CI. Exit code 0 good, 1 refused, 2 usage."""

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit.ledger.entry import system
from audit.refusals import Invalid, Refusal
from orchestration import catalogue
from orchestration.definitions.workflow import Definition, load_folder


class Command(BaseCommand):
    help = "Check a workflow; or install it as the active version, with an entry that says who did."
    requires_system_checks: list[str] = []  # also where nothing is installed, as in CI

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("act", choices=["check", "install"])
        parser.add_argument("directory", type=Path, help="workflow.yaml, and scripts in files/")
        parser.add_argument(
            "--author",
            action="append",
            default=[],
            help="username of a commit author, who never agrees to it",
        )
        parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            found = _load(options["directory"])
            if options["act"] == "install":
                catalogue.install(
                    found,
                    origin=options["directory"].name,
                    by=system("system:terminal"),
                    authors=options["author"],
                )
        except Refusal as refusal:
            if options["json"]:
                self.stdout.write(json.dumps({"passed": False, "errors": refusal.errors}))
            lines = [f"  {one['detail']}" for one in refusal.errors[1:]]
            raise CommandError("\n".join([str(refusal), *lines]), returncode=1) from refusal
        told = {"passed": True, "workflow": found.slug, "digest": found.digest}
        words = "may be requested now" if options["act"] == "install" else "is well-formed"
        self.stdout.write(json.dumps(told) if options["json"] else f"{found.slug} {words}: {found.digest}")


def _load(directory: Path) -> Definition:
    try:
        return load_folder(directory)
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"{directory} holds no workflow that can be read: {error}.") from error
