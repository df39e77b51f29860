"""Tries once a day whether the gate stops when the log falls behind, and writes down whether it did.

It asks the very check of the gate, over a log that is behind in this transaction alone. It must never leave anything
behind but its entry.
"""

from datetime import timedelta

from django.db import connection, transaction

from approvals import current
from approvals.closed import LedgerBehind
from audit.clock import database_time
from audit.ledger import rehearsal
from audit.ledger.entry import system
from audit.ledger.record import record
from audit.models import Entry

BY = system("system:probe")
APART = timedelta(hours=23)
SECONDS = 2 * current.MAX_LAG_SECONDS
ONE_AT_A_TIME = 0x70726F6265  # an advisory lock: two workers try once


def daily() -> bool | None:
    """Whether it stopped; None where that was tried less than a day ago."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [ONE_AT_A_TIME])
        last = Entry.objects.filter(subject="gate", kind="gate.probed").order_by("-id").first()
        if last is not None and last.occurred_at > database_time() - APART:
            return None
        stopped = stops()
        record("gate.probed", of=None, subject="gate", actor=BY, stopped=stopped, seconds=SECONDS)
        return stopped


def stops() -> bool:
    """Whether nothing would start now if an entry had waited for so long."""
    try:
        with rehearsal.behind(SECONDS):
            current.check()
    except LedgerBehind:
        return True
    return False
