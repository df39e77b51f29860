"""`manage.py up`: becomes the supervisor, so that Django's memory is not kept for the sake of a loop."""

import os
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser


class Command(BaseCommand):
    help = "Run everything on this machine: embedded servers where no URL is given, web, worker, beat, sequencer."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--data", help="data directory")
        parser.add_argument("--host")
        parser.add_argument("--port", type=int)
        parser.add_argument(
            "--demo", action="store_true", help="seed the demo bank and allow persona switches"
        )
        parser.add_argument("--fast", action="store_true", help="for tests: PostgreSQL without fsync")

    def handle(self, *args: Any, **options: Any) -> None:
        flags = [f"--{name}" for name in ("demo", "fast") if options[name]]
        named = [
            f"--{name}={options[name]}" for name in ("data", "host", "port") if options[name] is not None
        ]
        argv = [sys.executable, "-m", "config.embedded.supervisor", *flags, *named]
        os.execv(sys.executable, argv)  # noqa: S606 - the same interpreter, no shell
