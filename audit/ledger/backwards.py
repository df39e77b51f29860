"""Did the database's clock go back? Places in the log only grow, so times that do not are seen, told, and never mended.

An entry of before the clock went back bears a later time than one after it. It must never hold an entry up for that.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection, transaction

from audit.ledger.entry import system
from audit.ledger.record import record, timestamp

TOLERANCE = timedelta(seconds=60)  # longer than any transaction of ours stays open after its entry was made
BEHIND = "SELECT newest_at - clock_timestamp() FROM audit_head WHERE id = 1"


@dataclass
class Watch:
    """The sequencer's memory: one alarm each time the clock goes back, not one for each entry."""

    told: bool = False

    def see(self, times: Iterable[datetime], *, shown: datetime | None) -> None:
        """Entries of these times got their places, in a log that showed this one before; in no transaction."""
        earliest = min(times)
        gone_back = shown is not None and shown - earliest > TOLERANCE
        if shown is not None and gone_back and not self.told:
            with transaction.atomic(durable=True):
                record(
                    "ledger.clock_set_back", of=None, subject="ledger", actor=system("system:sequencer"),
                    shown=timestamp(shown), then=timestamp(earliest), seconds=int((shown - earliest).total_seconds()),
                )  # fmt: skip
        self.told = gone_back


def behind() -> timedelta | None:
    """How far the database's clock is behind a time that the log shows, now; None when it is not."""
    with connection.cursor() as cursor:
        cursor.execute(BEHIND)
        row = cursor.fetchone()
    gap: timedelta | None = row[0] if row else None
    return gap if gap is not None and gap > TOLERANCE else None
