"""`manage.py demo seed|people`: the demo bank Harbourline."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from orchestration import demo


class Command(BaseCommand):
    help = "The demo bank: seed it once, or list its people."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("verb", choices=["seed", "people"])

    def handle(self, *args: Any, **options: Any) -> None:
        if options["verb"] == "seed":
            self.stdout.write("Seeded the demo bank." if demo.seed() else "", ending="")
            return
        self.stdout.write("  Continue as one of its people, without a password:")
        for one in list(demo.read()["people"].values())[:4]:
            self.stdout.write(f"    {one['name']:<18} {one['title']}")
