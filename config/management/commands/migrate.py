"""`manage.py migrate`: Django's own, which gives way to what runs.

A migration that waits for a table makes everybody behind it wait, too. So it waits for a short time only, lets go,
and comes again; what it had begun is rolled back, and nothing is done by halves. Where the database has roles for web,
worker and sequencer, it grants them what came new.
"""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import CommandError
from django.core.management.commands.migrate import Command as Migrate
from django.db import OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg.errors import LockNotAvailable

from audit.ledger import roles

LOCK_SECONDS = 2
TRIES = 30
PAUSE_SECONDS = (1.0, 4.0)  # between two tries: whoever waited behind this one goes first


class Command(Migrate):
    help = "Bring the database to this release. It gives way: what waits for a table lets go and comes again."

    def handle(self, *args: Any, **options: Any) -> None:
        connection = connections[options["database"]]
        for number in range(1, TRIES + 1):
            try:
                with _impatient(connection):
                    super().handle(*args, **options)
                if len(roles.present()) == len(roles.ROLES):  # new tables: as the others
                    roles.settle()
                return
            except OperationalError as error:
                if not isinstance(error.__cause__, LockNotAvailable):
                    raise
            self.stderr.write(f"A table is in use: the migration gave way ({number} of {TRIES}).")
            time.sleep(random.uniform(*PAUSE_SECONDS))  # noqa: S311 - spreads the load
        raise CommandError(
            f"A table was in use {TRIES} times in a row, so not everything was migrated. What was begun is undone;"
            " look for long transactions in pg_stat_activity, and run it again."
        )


@contextmanager
def _impatient(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """A wait for a lock is given up after a short time, for as long as the block runs."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = '{LOCK_SECONDS}s'")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("RESET lock_timeout")
