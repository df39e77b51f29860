"""What the ledger tells of its archives: what was written where, and what came of trying it out."""

from collections.abc import Iterator
from typing import Any

from audit.canonical import parse
from audit.models import Entry

WRITTEN, CHECKED = "archive.written", "archive.checked"


def of(kind: str) -> Iterator[tuple[Entry, dict[str, Any]]]:
    """Every entry of this kind with its data, newest first."""
    for entry in Entry.objects.filter(subject="ledger", kind=kind).order_by("-id").iterator(chunk_size=100):
        yield entry, parse(bytes(entry.body))["data"]


def last(kind: str, address: str) -> tuple[Entry, dict[str, Any]] | None:
    """The newest of this kind that tells of this archive."""
    return next(((entry, data) for entry, data in of(kind) if data["place"] == address), None)
