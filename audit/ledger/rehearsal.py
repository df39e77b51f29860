"""A log that has fallen behind, as one transaction sees it that never commits; nobody else sees anything of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID

from django.db import transaction

from audit.canonical import uuid7
from audit.clock import database_time
from audit.models import Entry, Pending


@contextmanager
def behind(seconds: int) -> Iterator[None]:
    """An entry has waited for so long, and no checkpoint covers it."""
    with transaction.atomic():
        at = database_time() - timedelta(seconds=seconds)
        made = UUID(
            int=(int(at.timestamp() * 1000) << 80) | (uuid7().int & ((1 << 80) - 1))
        )  # ids sort by time
        Entry.objects.create(
            id=made, stream=made, stream_version=1, kind="ledger.beat", subject="ledger", actor="system:rehearsal",
            occurred_at=at, body=b"", leaf_hash=bytes(32),
        )  # fmt: skip
        Pending.objects.create(entry_id=made)
        try:
            yield
        finally:
            transaction.set_rollback(True)
