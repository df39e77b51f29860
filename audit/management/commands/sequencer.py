"""`manage.py sequencer`: place entries and sign checkpoints until told to stop."""

import logging
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from audit.ledger import sequencer
from audit.ledger.integrate import Broken
from audit.ledger.note import BadNote
from audit.ledger.witnesses import BadPolicy


class Command(BaseCommand):
    help = "Give entries their place in the log and sign its head, until SIGTERM."

    def handle(self, *args: Any, **options: Any) -> None:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s sequencer: %(message)s")
        try:
            sequencer.run()
        except (Broken, BadNote, BadPolicy, FileNotFoundError) as error:
            raise CommandError(f"The log is not continued. {error}") from error
