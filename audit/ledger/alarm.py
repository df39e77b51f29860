"""Tells, in the log itself, that the log stands still: once each time. That it went on shows by itself."""

from django.db import connection, transaction

from audit.ledger import checkpoint
from audit.ledger.entry import system
from audit.ledger.freshness import lag
from audit.ledger.record import record
from audit.models import Entry, Leaf

SECONDS = 60  # as long as the gate lets entries wait
BY = system("system:alarm")
ONE_AT_A_TIME = 0x616C61726D  # an advisory lock: two workers tell it once


def look() -> None:
    """Raise it if entries have waited for too long, and it was not raised for that already."""
    behind = lag()
    if behind.oldest_seconds <= SECONDS:
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [ONE_AT_A_TIME])
        if not _raised():
            told = {"pending": behind.pending, "seconds": int(behind.oldest_seconds)}
            record("ledger.behind", of=None, subject="ledger", actor=BY, **told)


def _raised() -> bool:
    """Whether the newest alarm waits for its checkpoint itself."""
    last = Entry.objects.filter(subject="ledger", kind="ledger.behind").order_by("-id").first()
    if last is None:
        return False
    newest, place = checkpoint.latest(), Leaf.objects.filter(entry=last).first()
    return place is None or newest is None or place.index >= newest.size
