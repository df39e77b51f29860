"""Stores what steps print, in batches, and reads it back. Never blocks the reader of a pipe, never grows.

A chunk is taken into memory at once and written by a background thread within a moment; what is left when
the step ends is written in the transaction that completes it. Only the holder of a step's lease may write.
"""

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any, TypedDict
from uuid import UUID

from django.db import close_old_connections, connection, transaction
from django.db.models import QuerySet

from audit.ledger.record import timestamp
from orchestration import lifecycle, notify
from orchestration.engine.attempt import Attempt, Chunk
from orchestration.models import LogChunk, Step

FLUSH_SECONDS = 0.1  # a reader sees a line this much after it was printed
IDLE_SECONDS = 2.0  # a writer with nothing to write gives its connection back
PENDING_BYTES = 4_194_304  # kept while the database is away; beyond it chunks are counted and left out
LAST_CHUNKS = 8  # that are looked through for the last lines
PAGE_BYTES = 1_048_576  # of log_after: a page is drawn in a blink

log = logging.getLogger(__name__)

# Fenced: no row is written unless this worker still holds this attempt.
_STORE = """
    WITH held AS (
        SELECT attempt.id FROM orchestration_stepattempt AS attempt JOIN orchestration_step AS step
            ON step.id = attempt.step_id AND step.attempt = attempt.number
         WHERE attempt.id = %s AND step.lease_owner = %s AND step.state = 'running'
    ), stored AS (
        INSERT INTO orchestration_logchunk (attempt_id, seq, stream, data, dropped_bytes, at)
        SELECT held.id, chunk.seq, chunk.stream, chunk.data, chunk.dropped, clock_timestamp()
          FROM held, unnest(%s::int[], %s::text[], %s::bytea[], %s::bigint[])
            AS chunk(seq, stream, data, dropped)
        ON CONFLICT (attempt_id, seq) DO NOTHING
    )
    UPDATE orchestration_stepattempt AS attempt SET last_seq = GREATEST(last_seq, %s),
           dropped_bytes = dropped_bytes + %s FROM held WHERE attempt.id = held.id
"""


class Log:
    """The log of one attempt, on its way to the database."""

    def __init__(self, attempt: Attempt, attempt_id: UUID) -> None:
        self.attempt = attempt
        self._attempt_id = attempt_id
        self._lock = threading.Lock()
        self._order = threading.Lock()
        self._chunks: list[Chunk] = []
        self._bytes = 0
        self._left_out = 0

    def take(self, chunk: Chunk) -> None:
        """Keep a chunk until it is written. Called by whoever reads the pipe: takes no time, never fails."""
        with self._lock:
            if self._bytes + len(chunk.data) > PENDING_BYTES:
                self._left_out += len(chunk.data) + chunk.dropped
                return
            self._chunks.append(chunk)
            self._bytes += len(chunk.data)
        _writer.attend(self)

    def store(self) -> None:
        """Write what has gathered, in the caller's transaction or in one of its own."""
        with self._order:  # two threads may come here; what came first is written first
            self._store()

    def _store(self) -> None:
        with self._lock:
            chunks, left_out = self._chunks, self._left_out
            self._chunks, self._bytes, self._left_out = [], 0, 0
        if not chunks:
            return
        try:
            with transaction.atomic(savepoint=False):
                self._insert(chunks, left_out)
        except Exception:
            self._take_back(chunks, left_out)
            raise

    def _insert(self, chunks: Sequence[Chunk], left_out: int) -> None:
        dropped = [chunk.dropped for chunk in chunks]
        dropped[-1] += left_out
        columns: list[list[Any]] = [
            [chunk.seq for chunk in chunks],
            [chunk.stream for chunk in chunks],
            [bytes(chunk.data) for chunk in chunks],
            dropped,
        ]
        holder = [self._attempt_id, self.attempt.boot_id]
        with connection.cursor() as cursor:
            cursor.execute(_STORE, [*holder, *columns, chunks[-1].seq, sum(dropped)])
        notify.hint(notify.run_topic(self.attempt.run_id), 0, "log")

    def _take_back(self, chunks: list[Chunk], left_out: int) -> None:
        with self._lock:
            self._chunks = chunks + self._chunks
            self._bytes = sum(len(chunk.data) for chunk in self._chunks)
            self._left_out += left_out


class _Writer:
    """One thread of this process that writes the logs that have news."""

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._due: dict[UUID, Log] = {}
        self._thread: threading.Thread | None = None

    def attend(self, one: Log) -> None:
        with self._lock:
            self._due[one.attempt.step_id] = one
            if self._thread is None or not self._thread.is_alive():  # a fork leaves threads behind
                self._thread = threading.Thread(target=self._run, name="logs", daemon=True)
                self._thread.start()
            self._lock.notify()

    def _run(self) -> None:
        while self._anything():
            time.sleep(FLUSH_SECONDS)  # gather: many small lines become one statement
            with self._lock:
                due, self._due = list(self._due.values()), {}
            for one in due:
                self._store(one)
        connection.close()

    def _anything(self) -> bool:
        """Whether a log has news; after a quiet while the thread and its connection end."""
        with self._lock:
            found = self._lock.wait_for(lambda: bool(self._due), timeout=IDLE_SECONDS)
            if not found:
                self._thread = None
            return found

    def _store(self, one: Log) -> None:
        try:
            close_old_connections()
            one.store()
        except Exception as error:  # noqa: BLE001 - the step goes on; the chunks wait within their limit
            log.warning("the log of step %s waits: %s", one.attempt.step_id, error)
            connection.close()
            time.sleep(1)
            self.attend(one)


_writer = _Writer()


class Line(TypedDict):
    """One piece of output, as the page and the API show it."""

    seq: int
    stream: str
    text: str
    at: str


class Page(TypedDict):
    """What is new behind a number, and whether more waits or will come."""

    results: list[Line]
    after: int
    more: bool
    ended: bool


def log_after(step: Step, after: int) -> Page:
    """What a step printed behind number `after`, over all its attempts: at most a page of it."""
    results: list[Line] = []
    size = 0
    for chunk in _chunks(step).filter(pk__gt=after).iterator(chunk_size=16):
        results += _lines(chunk)
        size += len(chunk.data)
        after = chunk.pk
        if size >= PAGE_BYTES:
            break
    more = _chunks(step).filter(pk__gt=after).exists() if size >= PAGE_BYTES else False
    return {"results": results, "after": after, "more": more, "ended": lifecycle.is_terminal(step.state)}


def text(step: Step) -> Iterator[str]:
    """The whole log of a step as text, piece by piece."""
    for chunk in _chunks(step).iterator(chunk_size=16):
        for line in _lines(chunk):
            yield line["text"]


def last_lines(step: Step, count: int) -> list[str]:
    """The end of what a step printed, over all its attempts."""
    newest = reversed(_chunks(step).reverse()[:LAST_CHUNKS])
    return "".join(line["text"] for chunk in newest for line in _lines(chunk)).splitlines()[-count:]


def _chunks(step: Step) -> QuerySet[LogChunk]:
    """In the order of writing; a step has one writer at a time, so the numbers rise with it."""
    return LogChunk.objects.filter(attempt__step=step).order_by("pk")


def _lines(chunk: LogChunk) -> Iterator[Line]:
    seq, at = chunk.pk, timestamp(chunk.at)
    if chunk.dropped_bytes:
        left_out = f"[{chunk.dropped_bytes} bytes were left out here]\n"
        yield Line(seq=seq, stream="system", text=left_out, at=at)
    yield Line(seq=seq, stream=chunk.stream, text=bytes(chunk.data).decode(errors="replace"), at=at)
