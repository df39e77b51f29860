"""Examines every log that has ended against what the ledger tells of it; says in words which piece is the first that
does not fit. Changes nothing.
"""

import re
from collections.abc import Iterator
from typing import Any

from audit.canonical import NotCanonical, parse
from audit.models import Entry
from orchestration.logs import chain
from orchestration.logs.bodies import Bodies, LogUnavailable
from orchestration.logs.layout import Place
from orchestration.models import LogChunk, StepAttempt

REMOVED = "log.removed"


def faults() -> Iterator[str]:
    """A sentence for each log that is not as it was when its attempt ended; `manage.py ledger verify` asks."""
    for entry in Entry.objects.filter(kind__startswith="step.").order_by("id").iterator(chunk_size=200):
        told = _told(entry)
        if told is not None:
            fault = _examine(entry, told["attempt"], told["log"])
            if fault:
                yield f"The log of {told['run']}/{told['step']}, attempt {told['attempt']}, {fault}"


def _told(entry: Entry) -> dict[str, Any] | None:
    """What an entry tells about a log, if it does. One that is not canonical is found with the entry itself."""
    try:
        data = parse(bytes(entry.body))["data"]
    except NotCanonical:
        return None
    return data if isinstance(data.get("log"), dict) else None


def _examine(entry: Entry, number: int, told: dict[str, Any]) -> str:
    attempt = StepAttempt.objects.filter(step=entry.stream, number=number).first()
    if attempt is None:
        return "was taken away with its attempt."
    if attempt.log_removed_at is not None:
        return "" if _removal_is_told(attempt, told["root"]) else "was taken away, and no entry tells why."
    try:
        return _walk(attempt, told)
    except LogUnavailable as refusal:
        return f"could not be examined. {refusal}"


def _walk(attempt: StepAttempt, told: dict[str, Any]) -> str:
    """Make the chain again from the bodies, and the places from the chain."""
    digest, seen = chain.start(attempt.pk), 0
    place: Place | None = None
    chunks = LogChunk.objects.filter(attempt=attempt).order_by("seq").iterator(chunk_size=16)
    for chunk, data in Bodies().of(chunks):
        digest = chain.link(
            digest, seq=chunk.seq, stream=chunk.stream, data=data, dropped=chunk.dropped_bytes
        )
        if digest != bytes(chunk.digest):
            return f"was altered: piece {chunk.seq} is not the one that was stored after piece {seen}."
        if place is None:  # the first follows what earlier attempts have printed
            place = Place(chunk.first_line - 1, chunk.offset, "", chunk.breaks)
        breaks = place.breaks(chunk.stream, chunk.dropped_bytes)
        if (chunk.first_line, chunk.offset, chunk.breaks) != (place.lines + 1, place.offset, breaks):
            return f"was moved: piece {chunk.seq} stands at another line than it was stored at."
        place, seen = place.after(chunk.stream, data, chunk.dropped_bytes), chunk.seq
    if chain.root(digest) != told["root"]:
        return f"was altered: it ends after piece {seen} with another root than the ledger tells."
    return ""


def _removal_is_told(attempt: StepAttempt, root: str) -> bool:
    entries = Entry.objects.filter(kind=REMOVED, subject=attempt.step.run.key)
    return any(root in re.findall(r"sha256:[0-9a-f]{64}", bytes(one.body).decode()) for one in entries)
