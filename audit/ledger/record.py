"""The one way to write an entry: beside the row it tells about, in its transaction. Never updates, never deletes."""

import hashlib
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from audit.canonical import Json, canonical, uuid7
from audit.ledger import state
from audit.ledger.entry import Actor
from audit.models import Coupled, Entry
from audit.refusals import Refusal

MAX_BYTES = 60_000  # larger payloads are recorded by digest
CHANNEL = "ledger"  # wakes the sequencer; losing it costs one poll

NOW_AND_PREVIOUS = """
SELECT clock_timestamp(), (SELECT leaf_hash FROM audit_entry WHERE stream = %s AND stream_version = %s), {state}
"""
INSERT = """
WITH entry AS (
    INSERT INTO audit_entry (id, stream, stream_version, kind, subject, actor, occurred_at, body, leaf_hash)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING id
), pending AS (INSERT INTO audit_pending (entry_id) SELECT id FROM entry)
SELECT pg_notify(%s, '')
"""


def record(kind: str, *, of: Coupled | None, subject: str, actor: Actor, **data: Json) -> Entry:
    """Write one entry in the caller's transaction; it lives or dies with the row it tells about.

    `of` is the governed row at its new version, `None` an act that changes no row. RuntimeError outside a
    transaction, ValueError beyond 60 kB, NotCanonical when the data lies outside the canonical profile.
    """
    if not connection.in_atomic_block:  # raise, not assert: it must hold under python -O too
        raise RuntimeError("record() needs the transaction of the change it records")
    entry_id = uuid7()
    stream, version = (of.pk, of.version) if of is not None else (entry_id, 1)
    covered = state.columns(type(of)) if of is not None else []
    with connection.cursor() as cursor:
        cursor.execute(*_question(stream, version, of, covered))
        at, previous, digest = cursor.fetchone()
        if covered and digest is None:
            raise RuntimeError(f"record() comes after the row: no {of} of version {version} is written yet")
        sealed = {"digest": digest, "columns": " ".join(covered)} if digest else None
        body = encode(entry_id, kind, at, stream, version, previous, sealed, actor, subject, data)
        leaf = leaf_hash(body)
        row: list[Any] = [entry_id, stream, version, kind, subject, actor.id, at, body, leaf]
        cursor.execute(INSERT, [*row, CHANNEL])
    return Entry(*row)  # type: ignore[misc]  # the columns in the order of the model


def _question(stream: UUID, version: int, of: Coupled | None, covered: list[str]) -> tuple[str, list[Any]]:
    """What an entry needs to know, in one query: the time, its predecessor, the row as it is now."""
    if of is None or not covered:
        return NOW_AND_PREVIOUS.format(state="NULL"), [stream, version - 1]
    table = connection.ops.quote_name(of._meta.db_table)
    row = f"(SELECT {state.digest_sql('r')} FROM {table} r WHERE id = %s AND version = %s)"  # noqa: S608 - a table of the models
    return NOW_AND_PREVIOUS.format(state=row), [stream, version - 1, covered, stream, version]


def record_refusal(refusal: Refusal, *, attempted: str, subject: str, actor: Actor) -> Entry:
    """Write down an attempt that was refused, in a transaction of its own: a rollback must not hide it."""
    if connection.in_atomic_block:
        raise RuntimeError(
            "record_refusal() must outlive the refused transaction: call it after the rollback"
        )
    with transaction.atomic(durable=True):
        return record(
            "attempt.refused",
            of=None,
            subject=subject,
            actor=actor,
            code=refusal.code,
            attempted=attempted,
            detail=str(refusal)[:2000],
        )


def encode(
    entry_id: UUID,
    kind: str,
    at: datetime,
    stream: UUID,
    version: int,
    previous: bytes | None,
    sealed: dict[str, str] | None,
    actor: Actor,
    subject: str,
    data: dict[str, Any],
) -> bytes:
    """The canonical bytes of an entry, version 1 of the format (docs/reference/ledger-format.md)."""
    body = canonical(
        {
            "v": 1,
            "id": str(entry_id),
            "type": kind,
            "time": timestamp(at),
            "stream": str(stream),
            "stream_version": version,
            "prev": bytes(previous).hex() if previous is not None else None,
            "state": sealed,
            "actor": {"id": actor.id, "kind": actor.kind, "auth": actor.auth},
            "subject": subject,
            "data": data,
        }
    )
    if len(body) > MAX_BYTES:
        raise ValueError(f"an entry of {len(body)} bytes is too large: record a digest of the payload")
    return body


def leaf_hash(body: bytes) -> bytes:
    """RFC 6962 section 2.1: a leaf is hashed behind a zero byte, so that it can never pass for a node."""
    return hashlib.sha256(b"\0" + body).digest()


def timestamp(at: datetime) -> str:
    """RFC 3339 in UTC with exactly six decimals: one spelling for each moment."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
