"""How far the log is behind the entries. Only looks: what a lag means is decided by whoever asks."""

from dataclasses import dataclass

from django.db import connection

COUNTED = 20_001  # more than anybody tolerates; counting further would cost more than it tells

ASK = """
SELECT (SELECT count(*) FROM (SELECT 1 FROM audit_pending LIMIT %s) AS counted),
       COALESCE((SELECT extract(epoch FROM clock_timestamp() - e.occurred_at)
                 FROM audit_pending p JOIN audit_entry e ON e.id = p.entry_id ORDER BY p.entry_id LIMIT 1), 0),
       COALESCE((SELECT size FROM audit_head WHERE id = 1), 0)
"""


@dataclass(frozen=True)
class Lag:
    """Entries that no checkpoint covers yet: how many (20,001 at most), the oldest's age; and the log's size."""

    pending: int
    oldest_seconds: float
    size: int


def lag() -> Lag:
    """One query; entry ids sort by time, so the smallest pending one is the oldest."""
    with connection.cursor() as cursor:
        cursor.execute(ASK, [COUNTED])
        pending, oldest, size = cursor.fetchone()
    return Lag(pending=pending, oldest_seconds=float(oldest), size=size)
