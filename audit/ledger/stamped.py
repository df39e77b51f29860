"""Checkpoints that a timestamp authority has seen: once a day and before the log leaves the house.

A token says that this log was there at a time that neither we nor our clock chose. It is kept beside its checkpoint for
ever. An authority that is away costs the timestamp, never the export.
"""

import logging
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta

from django.conf import settings
from django.db import IntegrityError, transaction

from audit.canonical import NotCanonical, parse
from audit.clock import database_time
from audit.ledger import checkpoint, tsa
from audit.ledger.entry import Actor, system
from audit.ledger.record import record, timestamp
from audit.models import Checkpoint, Entry, Timestamp

DAILY = timedelta(hours=23)
AT_MOST = timedelta(minutes=1)  # one each, however often the log is taken
KEEPER = system("system:timestamps")

log = logging.getLogger(__name__)


def daily() -> None:
    """Once a day, where an authority is set."""
    _unless_within(DAILY)


def leaving() -> Checkpoint | None:
    """The newest checkpoint, seen by the authority where one is set: for whatever leaves the house."""
    return _unless_within(AT_MOST) or checkpoint.latest()


def _unless_within(span: timedelta) -> Checkpoint | None:
    """The newest checkpoint, with a token; None where nothing is set or signed, or one was had so short ago."""
    signed = checkpoint.latest()
    recent = Timestamp.objects.filter(created_at__gt=database_time() - span).exists()
    if not settings.TSA_URL or signed is None or recent:
        return None
    try:
        take(signed, by=KEEPER)
    except tsa.NoTimestamp as error:
        log.warning("no timestamp over the checkpoint of %s entries: %s", signed.size, error)
    return signed


def take(signed: Checkpoint, *, by: Actor) -> Timestamp:
    """Have the authority see this checkpoint, keep its token and record it."""
    token = tsa.ask(signed.note.encode())
    try:
        with transaction.atomic():
            kept = Timestamp.objects.create(
                checkpoint=signed, reply=token.reply, at=token.at, authority=tsa.authority(),
                created_at=database_time(),
            )  # fmt: skip
            record(
                "checkpoint.timestamped", of=None, subject="ledger", actor=by, size=signed.size,
                authority=kept.authority, at=timestamp(token.at), digest=token.digest,
            )  # fmt: skip
    except IntegrityError:  # another process was first
        return Timestamp.objects.get(checkpoint=signed)
    return kept


def files(begin: int, size: int) -> Iterator[tuple[str, bytes]]:
    """Each checkpoint in (begin, size] that was seen, and its token: what leaves with the log."""
    kept = Timestamp.objects.filter(checkpoint__gt=begin, checkpoint__lte=size).select_related("checkpoint")
    for one in kept.order_by("checkpoint").iterator(chunk_size=100):
        yield f"timestamps/{one.checkpoint_id}.note", one.checkpoint.note.encode()
        yield f"timestamps/{one.checkpoint_id}.tsr", bytes(one.reply)


def faults() -> Iterator[str]:
    """A sentence for each timestamp that is gone, or does not verify; `manage.py ledger verify` asks."""
    told = dict(_told())
    for kept in (
        Timestamp.objects.select_related("checkpoint").order_by("checkpoint").iterator(chunk_size=100)
    ):
        whose = f"timestamp over the checkpoint of {kept.checkpoint_id} entries"
        if told.pop(kept.checkpoint_id, "") != tsa.Token(bytes(kept.reply), kept.at).digest:
            yield f"The {whose} is not the one that was recorded."
            continue
        with suppress(tsa.CannotCheck):  # `unchecked` says so
            if fault := fault_of(kept):
                yield f"The {whose}: {fault}"
    for size in told:
        yield f"The timestamp over the checkpoint of {size} entries is gone."


def unchecked() -> str:
    """Why nobody can tell here whether the timestamps verify; nothing where that can be told, or there are none."""
    kept = Timestamp.objects.select_related("checkpoint").order_by("-checkpoint").first()
    try:
        if kept is not None:
            fault_of(kept)
    except tsa.CannotCheck as why:
        return str(why)
    return ""


def fault_of(kept: Timestamp) -> str:
    """Why this token does not verify; empty when it does, CannotCheck where that cannot be told."""
    try:
        token = tsa.check(bytes(kept.reply), kept.checkpoint.note.encode())
    except tsa.CannotCheck:
        raise
    except tsa.NoTimestamp as error:
        return str(error)
    return "" if token.at == kept.at else "The time that is shown for it is not its own."


def _told() -> Iterator[tuple[int, str]]:
    told = Entry.objects.filter(subject="ledger", kind="checkpoint.timestamped").order_by("id")
    for entry in told.iterator(chunk_size=100):
        try:
            data = parse(bytes(entry.body))["data"]
        except NotCanonical:  # found with the entry itself
            continue
        yield data["size"], data["digest"]
