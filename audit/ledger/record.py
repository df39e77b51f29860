"""The one way to write an entry: beside the row it tells about, in its transaction. Never updates, never deletes."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from audit.canonical import Json, canonical, uuid7
from audit.clock import database_time
from audit.ledger import personal, rows
from audit.ledger.entry import Actor
from audit.ledger.personal import Erasable, Opened
from audit.ledger.rows import Written
from audit.models import Coupled, Entry, Opening
from audit.refusals import Refusal

MAX_BYTES = 60_000  # larger payloads are recorded by digest

COLUMNS = ("id", "stream", "stream_version", "occurred_at", "body", "leaf_hash")
INSERT = """
WITH entry AS (
    INSERT INTO audit_entry (kind, subject, actor, id, stream, stream_version, occurred_at, body, leaf_hash)
    SELECT %s, %s, %s, {rows} RETURNING id
)
INSERT INTO audit_pending (entry_id) SELECT id FROM entry
"""
INSERT_ONE = INSERT.format(rows="%s, %s, %s, %s, %s, %s")  # most have one: arrays would cost a third more
INSERT_ALL = INSERT.format(
    rows="one.* FROM unnest(%s::uuid[], %s::uuid[], %s::int[], %s::timestamptz[], %s::bytea[], %s::bytea[]) AS one"
)


def record(kind: str, *, of: Coupled | None, subject: str, actor: Actor, **data: Json) -> Entry:
    """Write one entry in the caller's transaction; it lives or dies with the row it tells about.

    `of` is the governed row at its new version, `None` an act that changes no row. Of an `Erasable` the entry holds a
    commitment only. RuntimeError outside a transaction, ValueError beyond 60 kB, NotCanonical when the data lies
    outside the canonical profile.
    """
    _check_transaction()
    entry_id = uuid7()  # what changes no row is a stream of its own, with this one entry
    row = rows.written([of])[0] if of is not None else Written(entry_id, 1, database_time(), None, None)
    return _store([_entry(entry_id, kind, row, data, subject=subject, actor=actor)])[0]


def record_all(
    kind: str, told: Sequence[tuple[Written, Mapping[str, Json]]], *, subject: str, actor: Actor
) -> list[Entry]:
    """The same of many rows at once, as `rows` tells of them: one entry for each, all in one statement."""
    _check_transaction()
    return _store([_entry(uuid7(), kind, row, data, subject=subject, actor=actor) for row, data in told])


def _check_transaction() -> None:
    if not connection.in_atomic_block:  # raise, not assert: it must hold under python -O too
        raise RuntimeError("record() needs the transaction of the change it records")


Made = tuple[Entry, list[Opened]]


def _entry(
    entry_id: UUID, kind: str, row: Written, data: Mapping[str, Json], *, subject: str, actor: Actor
) -> Made:
    kept, hidden = personal.split(data)
    body = encode(
        entry_id, kind, row.at, row.stream, row.version, row.previous, row.sealed, actor, subject, kept,
        {one.path: one.commitment for one in hidden},
    )  # fmt: skip
    named = (entry_id, row.stream, row.version, kind, subject, actor.id, row.at, body, leaf_hash(body))
    return Entry(*named), hidden  # type: ignore[misc]  # the columns in the order of the model


def _store(made: list[Made]) -> list[Entry]:
    """One statement for all entries, which are of one kind, subject and actor; another where there are openings."""
    entries = [entry for entry, _ in made]
    first, alone = entries[0], len(entries) == 1
    rows = [
        getattr(first, column) if alone else [getattr(one, column) for one in entries] for column in COLUMNS
    ]
    with connection.cursor() as cursor:
        cursor.execute(INSERT_ONE if alone else INSERT_ALL, [first.kind, first.subject, first.actor, *rows])
    openings = [
        Opening(entry=entry, path=one.path, salt=one.salt, value=one.value)
        for entry, hidden in made
        for one in hidden
    ]
    if openings:
        Opening.objects.bulk_create(openings)
    return entries


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
            detail=Erasable(str(refusal)[:2000]),
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
    data: Mapping[str, Any],
    commitments: Mapping[str, str] | None = None,
) -> bytes:
    """The canonical bytes of an entry (docs/reference/ledger-format.md): version 2 where it commits to something."""
    body = canonical(
        {
            **({"v": 2, "sd": commitments} if commitments else {"v": 1}),
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
