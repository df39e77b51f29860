"""`manage.py demo seed|people|play`: the demo bank Harbourline."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from orchestration import demo, play


class Command(BaseCommand):
    help = "The demo bank: seed it once, list its people, or let them work for two minutes, once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("verb", choices=["seed", "people", "play"])

    def handle(self, *args: Any, **options: Any) -> None:
        if options["verb"] == "seed":
            self.stdout.write("Seeded the demo bank." if demo.seed() else "", ending="")
            return
        if options["verb"] == "play":
            self.stdout.write("Played." if play.play() else "It was played before.")
            return
        self.stdout.write("  Continue as one of its people, without a password:")
        for one in list(demo.read()["people"].values())[:4]:
            self.stdout.write(f"    {one['name']:<18} {one['title']}")
