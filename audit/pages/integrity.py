"""What is wrong with the log right now, for the top of every page of whoever may read it; nobody can put it away.

Looks at the log's end, and at what the last examination of all of it found (`examined.py`).
"""

import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection

from audit.ledger import checkpoint, examined, freshness
from audit.models import Checkpoint
from audit.pages import proving

KNOWN_SECONDS = 5.0  # a page does not wait for what another has just looked at
CLOCK_SECONDS = 5.0  # two clocks may differ by so much
LINK = {"url": "/audit/checkpoints/", "label": "Check it yourself"}
KEEP = "Keep this database as it is and run: manage.py ledger verify"
END = """
SELECT h.size, h.integrated_at, clock_timestamp(), GREATEST(h.newest_at, l.occurred_at, h.integrated_at)
FROM audit_head h LEFT JOIN audit_leaf l ON l.index = h.size - 1 WHERE h.id = 1
"""
_known: tuple[float, list[dict[str, Any]]] = (float("-inf"), [])


class End(NamedTuple):
    """The end of the log: its size, when that was placed, what time it is, and the latest time that the log shows."""

    size: int
    placed_at: datetime
    now: datetime
    told_at: datetime


def alarms() -> list[dict[str, Any]]:
    """Contexts of components/banner.html, the worst first; looked at anew every few seconds."""
    global _known  # noqa: PLW0603 - what this process saw last
    at, found = _known
    if time.monotonic() - at > KNOWN_SECONDS:
        found = look()
        _known = (time.monotonic(), found)
    return found


def look() -> list[dict[str, Any]]:
    """Altered, not signed, late, or out of time; nothing where all is well or nothing was ever signed."""
    newest = checkpoint.latest()
    with connection.cursor() as cursor:
        cursor.execute(END)
        end = cursor.fetchone()
    if newest is None or end is None:
        return []
    found = [*_examined(), *_signed(newest, End(*end)), *_late(), *_out_of_time(newest, End(*end))]
    return [{"state": state, "title": title, "text": text, "link": LINK} for state, title, text in found]


def _examined() -> Iterator[tuple[str, str, str]]:
    last = examined.newest()
    if last is not None and last.first:
        where = "beside its entries" if last.index is None else f"first at entry {last.index}"
        more = f" Findings in all: {last.count}." if last.count > 1 else ""
        found = f"{last.first}{more} Found {last.at:%Y-%m-%d %H:%M:%S} UTC, when all of it was examined."
        yield "not_verified", f"The log was altered, {where}", f"{found} {KEEP}"


def _signed(newest: Checkpoint, end: End) -> Iterator[tuple[str, str, str]]:
    if fault := proving.fault(newest):
        yield "not_verified", "The log does not verify", f"{fault} {KEEP}"
    elif end.size > newest.size and (end.now - end.placed_at).total_seconds() > proving.LATE_SECONDS:
        words = f"{end.size - newest.size} entries have their place, unsigned since {proving.utc(newest)}."
        yield (
            "not_verified",
            "The log is not signed",
            f"{words} Does the signer run, and does it refuse? See the logs.",
        )


def _late() -> Iterator[tuple[str, str, str]]:
    lag = freshness.lag()
    if lag.oldest_seconds > proving.LATE_SECONDS:
        words = f"{lag.pending} entries wait for their place, the oldest for {lag.oldest_seconds:.0f} s."
        yield (
            "failing",
            "The log is behind",
            f"{words} Nothing new is started meanwhile. Does the sequencer run?",
        )


def _out_of_time(newest: Checkpoint, end: End) -> Iterator[tuple[str, str, str]]:
    ahead = (max(end.told_at, newest.created_at) - end.now).total_seconds()
    if ahead > CLOCK_SECONDS:
        words = f"The log shows a time that is {ahead:.0f} s later than what the database's clock shows now."
        yield (
            "failing",
            "A clock was set back",
            f"{words} Do not trust the times of new entries until it is right.",
        )
