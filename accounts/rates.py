"""How often: one atomic count per key and window.

In the database, so that a race cannot pass and no broker is needed.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from django.db import connection

from accounts.models import Rate
from audit.refusals import TooMany


@dataclass(frozen=True)
class Limit:
    """At most `count` in `seconds`."""

    count: int
    seconds: int


def spend(key: str, limit: Limit, *, at: datetime) -> None:
    """Count one; TooMany beyond the limit. A window opens with its first use."""
    count, until = _count(key, at, at + timedelta(seconds=limit.seconds))
    if count > limit.count:
        wait = max(1, ceil((until - at).total_seconds()))
        raise TooMany(f"Too many attempts; this one did nothing. Try again in {wait} s.", retry_after=wait)


def short(text: str) -> str:
    """Text of any length as part of a key."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def refund(key: str) -> None:
    """Give one back: it was no failure."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE accounts_rate SET count = count - 1 WHERE key = %s AND count > 0", [key])


def forget(*, at: datetime) -> int:
    """Drop closed windows; how many."""
    return Rate.objects.filter(until__lte=at).delete()[0]


def _count(key: str, at: datetime, until: datetime) -> tuple[int, datetime]:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO accounts_rate AS r (key, until, count) VALUES (%s, %s, 1)
            ON CONFLICT (key) DO UPDATE SET
                count = CASE WHEN r.until <= %s THEN 1 ELSE r.count + 1 END,
                until = CASE WHEN r.until <= %s THEN excluded.until ELSE r.until END
            RETURNING count, until
            """,
            [key[:100], until, at, at],
        )
        row: tuple[int, datetime] = cursor.fetchone()
    return row
