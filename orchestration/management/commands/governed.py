"""`manage.py governed install TEAM|list`: the governed acts, each a workflow in the control room."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import Team
from audit.ledger.entry import system
from audit.refusals import Refusal
from orchestration.governed import install
from orchestration.governed.action import acts


class Command(BaseCommand):
    help = "List the governed acts; or put those that are missing into the catalogue, owned by a team."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("act", choices=["install", "list"])
        parser.add_argument("team", nargs="?", help="slug of the team that owns them")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["act"] == "list":
            self.stdout.write("\n".join(f"{one.slug:24} {one.title}" for one in acts().values()))
            return
        owner = Team.objects.filter(slug=options["team"] or "").first()
        if owner is None:
            raise CommandError("Name the team that owns the governed acts; nothing was installed.")
        try:
            installed = install.install(owner, by=system("system:terminal"))
        except Refusal as refusal:
            raise CommandError(str(refusal), returncode=1) from refusal
        self.stdout.write(f"{len(installed)} governed acts may be requested by who is granted them.")
