"""Has the whole log examined again and again; what came of it is an entry, and stands on every page of a reader.

An entry is written when something else is found than the last time, and once a day. It must never take more than a
fiftieth of the time: where an examination is long, it is seldom.
"""

import logging
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Any

from django.db import transaction

from audit.alone import alone
from audit.canonical import NotCanonical, parse
from audit.clock import database_time
from audit.ledger import checkpoint, examine
from audit.ledger.entry import system
from audit.ledger.examine import Report
from audit.ledger.record import record
from audit.models import Entry

KIND = "ledger.examined"
LOCK = 0x6578616D696E65  # advisory lock of whoever examines
EVERY_SECONDS = 600  # as beat asks
SHARE = 50
DAILY = timedelta(hours=23)
MOST_TEXT = 500
EXAMINER = system("system:examiner")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Examined:
    """What the newest examination that was told of found: the first place that does not fit, if any."""

    at: datetime
    seconds: int
    index: int | None
    first: str
    count: int


def routinely() -> None:
    """Where it is due, and nobody else is at it."""
    with alone(LOCK) as mine:
        if mine and _is_due(newest(), database_time()):
            now()


def now() -> Report | None:
    """Examine, and tell; None where nothing was ever signed."""
    if checkpoint.newest() is None:
        return None
    before, began = newest(), time.monotonic()
    report = examine.examine(checkpoint.keys(), at_length=False)
    first = report.first
    told = {
        "size": report.size, "findings": len(report.findings), "index": first.index if first else None,
        "first": first.text[:MOST_TEXT] if first else "", "seconds": ceil(time.monotonic() - began),
    }  # fmt: skip
    same = before is not None and (before.first, before.count) == (told["first"], told["findings"])
    if before is None or not same or before.at < database_time() - DAILY:
        with transaction.atomic():
            record("ledger.examined", of=None, subject="ledger", actor=EXAMINER, **told)
    if first:
        log.error("the log was altered: %s", first.text)
    return report


def newest() -> Examined | None:
    """What was told last; None where it was never examined."""
    entry = Entry.objects.filter(subject="ledger", kind=KIND).order_by("-id").first()
    if entry is None:
        return None
    try:
        said: dict[str, Any] = parse(bytes(entry.body))["data"]
        return Examined(entry.occurred_at, said["seconds"], said["index"], said["first"], said["findings"])
    except (NotCanonical, KeyError, TypeError):  # somebody wrote over it
        return Examined(
            entry.occurred_at, 0, None, f"What was found on {entry.occurred_at:%Y-%m-%d} was altered.", 1
        )


def _is_due(before: Examined | None, at: datetime) -> bool:
    """At each so many-th time that beat asks."""
    rounds = ceil(before.seconds * SHARE / EVERY_SECONDS) if before else 1
    return int(at.timestamp() // EVERY_SECONDS) % max(1, rounds) == 0
