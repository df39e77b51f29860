"""`manage.py signer`: hold the log's key and sign its heads until told to stop."""

import logging
import signal
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit.ledger import checkpoint
from audit.ledger.signer import Refused, alone, serve


class Command(BaseCommand):
    help = "Hold the log's key, and sign a head only behind what was signed before, until SIGTERM."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        forget = (
            "sign whatever head comes next: only after an old backup was restored, and everybody was told"
        )
        parser.add_argument("--forget", action="store_true", help=forget)

    def handle(self, *args: Any, **options: Any) -> None:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s signer: %(message)s")
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        try:
            with alone(settings.KEY_DIR / "signer"):
                keeper = checkpoint.keeper()
                if options["forget"]:
                    size = keeper.memory.size
                    keeper.forget()
                    self.stdout.write(
                        f"Forgotten: that {size} entries were signed. The next head is signed as it comes."
                    )
                    return
                serve(keeper, settings.SIGNER_SOCKET)
        except (Refused, OSError, ValueError) as error:
            raise CommandError(f"Nothing is signed: {error}.") from error
