"""How far the log is behind the entries. Only looks: what a lag means is decided by whoever asks."""

from dataclasses import dataclass

from django.db import connection

from audit.ledger import checkpoint, witnesses

COUNTED = 20_001  # more than anybody tolerates; counting further would cost more than it tells

ASK = """
WITH signed AS (SELECT COALESCE(%s::bigint, (SELECT max(size) FROM audit_checkpoint), 0) AS size),
     head AS (SELECT COALESCE((SELECT size FROM audit_head WHERE id = 1), 0) AS size),
     waits AS (SELECT entry_id FROM audit_pending ORDER BY entry_id LIMIT 1),
     placed AS (SELECT entry_id FROM audit_leaf WHERE index = (SELECT size FROM signed))
SELECT (SELECT count(*) FROM (SELECT 1 FROM audit_pending LIMIT %s) AS counted) + head.size - signed.size,
       COALESCE((SELECT max(extract(epoch FROM clock_timestamp() - e.occurred_at)) FROM audit_entry e
                 WHERE e.id IN (SELECT entry_id FROM waits UNION ALL SELECT entry_id FROM placed)), 0),
       head.size
FROM signed, head
"""


@dataclass(frozen=True)
class Lag:
    """Entries that no checkpoint covers yet: how many, the oldest's age; and the log's size."""

    pending: int
    oldest_seconds: float
    size: int


def lag() -> Lag:
    """Entry ids sort by time, so the smallest pending one is the oldest."""
    with connection.cursor() as cursor:
        cursor.execute(ASK, [_cosigned(), COUNTED])
        pending, oldest, size = cursor.fetchone()
    return Lag(pending=pending, oldest_seconds=float(oldest), size=size)


def _cosigned() -> int | None:
    """How far the log is sealed where the policy demands witnesses; None: as far as it is signed."""
    if not witnesses.policy().need:
        return None
    newest = checkpoint.latest()
    return newest.size if newest else 0
