"""`manage.py up`: becomes the supervisor, so that Django's memory is not kept for the sake of a loop."""

import os
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from config.environment import ROOT


class Command(BaseCommand):
    help = (
        "Run everything on this machine: servers where no URL is given, web, worker, beat, sequencer, signer."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--data", type=Path, help="data directory")
        parser.add_argument("--host")
        parser.add_argument("--port", type=int, help="0 takes any free one")
        parser.add_argument("--demo", action="store_true", help="seed the demo bank, allow persona switches")
        parser.add_argument(
            "--play", action="store_true", help="and let its people work for two minutes, once"
        )
        parser.add_argument(
            "--fast", action="store_true", help="for tests: a power failure may lose what was accepted"
        )
        parser.add_argument("--json", action="store_true", help="announce the address as one line of JSON")
        parser.add_argument(
            "--with-parent", action="store_true", help="stop when the process that started this ends"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["data"]:
            options["data"] = options["data"].resolve()
        flags = [
            f"--{name.replace('_', '-')}"
            for name in ("demo", "play", "fast", "json", "with_parent")
            if options[name]
        ]
        named = [
            f"--{name}={options[name]}" for name in ("data", "host", "port") if options[name] is not None
        ]
        os.chdir(ROOT)
        os.execv(sys.executable, [sys.executable, "-m", "config.embedded", *flags, *named])  # noqa: S606 - no shell
