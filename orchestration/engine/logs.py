"""Stores what steps print, in batches. Never blocks the reader of a pipe, never grows.

A chunk is taken into memory at once and written by a background thread within a moment; what is left when
the step ends is written right before it is completed. Only the holder of a step's lease may write.
"""

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import psycopg
from django.db import DatabaseError, close_old_connections, connection, transaction
from django.db.models import Count, Sum
from django.db.models.functions import Length

from audit.canonical import Json
from orchestration import notify
from orchestration.engine.attempt import Attempt, Chunk
from orchestration.logs import chain
from orchestration.logs.layout import Place
from orchestration.models import Step, StepAttempt

FLUSH_SECONDS = 0.1  # a reader sees a line this much after it was printed
IDLE_SECONDS = 2.0  # a writer with nothing to write gives its connection back
PENDING_BYTES = (
    12 << 20
)  # the tail of a flood, and what comes while the database is away; beyond it it is counted
BATCH_BYTES = 1 << 20  # of one statement
PASSING = {"", "08", "40", "57"}  # SQLSTATE classes of what passes: no connection, a rollback, a shutdown

log = logging.getLogger(__name__)

# Fenced: no row is written unless this worker still holds this attempt.
_HELD = """
    SELECT attempt.id, attempt.step_id FROM orchestration_stepattempt AS attempt
      JOIN orchestration_step AS step ON step.id = attempt.step_id AND step.attempt = attempt.number
     WHERE attempt.id = %s AND step.lease_owner = %s AND step.state = 'running' FOR SHARE OF step
"""
_TOTALS = """
    UPDATE orchestration_stepattempt AS attempt
       SET last_seq = %s, dropped_bytes = %s, log_lost = %s, log_lines = %s, log_bytes = %s, log_open = %s,
           log_root = %s
      FROM held WHERE attempt.id = held.id
"""
_STORE = f"""
    WITH held AS ({_HELD}), stored AS (
        INSERT INTO orchestration_logchunk
               (attempt_id, step_id, seq, stream, data, dropped_bytes, first_line, "offset", breaks, digest, at)
        SELECT held.id, held.step_id, chunk.seq, chunk.stream, chunk.data, chunk.dropped, chunk.line, chunk.place,
               chunk.breaks, chunk.digest, clock_timestamp()
          FROM held, unnest(%s::int[], %s::text[], %s::bytea[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bool[],
                            %s::bytea[]) AS chunk(seq, stream, data, dropped, line, place, breaks, digest)
        ON CONFLICT (attempt_id, seq) DO NOTHING
    ) {_TOTALS}
"""  # noqa: S608 - two texts of this module
_COUNT = f"WITH held AS ({_HELD}) {_TOTALS}"


@dataclass(frozen=True)
class Stored:
    """How far a log is written: the place in its text, the end of its chain, the counts."""

    place: Place
    digest: bytes
    seq: int = 0
    chunks: int = 0
    data_bytes: int = 0
    dropped: int = 0

    def after(self, chunk: Chunk) -> "Stored":
        return Stored(
            place=self.place.after(chunk.stream, chunk.data, chunk.dropped),
            digest=_link(self.digest, chunk),
            seq=chunk.seq,
            chunks=self.chunks + 1,
            data_bytes=self.data_bytes + len(chunk.data),
            dropped=self.dropped + chunk.dropped,
        )


class Log:
    """The log of one attempt, on its way to the database."""

    def __init__(self, attempt: Attempt, attempt_id: UUID) -> None:
        self.attempt = attempt
        self._attempt_id = attempt_id
        self._lock = threading.Lock()
        self._order = threading.Lock()
        self._chunks: list[Chunk] = []
        self._bytes = 0
        self._left_out: Chunk | None = None  # what did not fit into memory, counted, behind the last chunk
        self._lost = 0  # bytes of that, so far
        self._stored: Stored | None = None

    def take(self, chunk: Chunk) -> None:
        """Keep a chunk until it is written. Called by whoever reads the pipe: takes no time, never fails."""
        with self._lock:
            left_out = self._left_out.dropped if self._left_out else 0
            if self._bytes + len(chunk.data) > PENDING_BYTES:
                missing = len(chunk.data) + chunk.dropped
                self._left_out = replace(chunk, data=b"", dropped=left_out + missing)
                self._lost += len(chunk.data)
            else:
                self._chunks.append(replace(chunk, dropped=left_out + chunk.dropped))
                self._bytes += len(chunk.data)
                self._left_out = None
        _writer.attend(self)

    def store(self) -> None:
        """Write what has gathered."""
        with self._order:  # two threads may come here; what came first is written first
            while chunks := self._batch():
                try:
                    self._stored = self._insert(chunks, self._so_far())
                except (
                    BaseException
                ):  # whether it was committed is not known: the same again is the same rows
                    self._take_back(chunks)
                    raise

    def finish(self) -> dict[str, Json]:
        """Write what is left; what the entry of the step's end tells about its log.

        A database that has no room for a log does not cost the step its outcome: what is missing is counted.
        """
        try:
            self.store()
        except (DatabaseError, psycopg.Error) as error:
            if _state_of(error)[:2] in PASSING:
                raise
            log.exception("the end of the log of step %s is lost", self.attempt.step_id)
            with self._order:
                self._give_up()
        return self._told()

    def _batch(self) -> list[Chunk]:
        """The next to be written, taken from what waits."""
        with self._lock:
            count = size = 0
            while count < len(self._chunks) and size < BATCH_BYTES:
                size += len(self._chunks[count].data)
                count += 1
            if count == len(self._chunks) and self._left_out is not None:
                self._chunks.append(self._left_out)
                self._left_out, count = None, count + 1
            batch, self._chunks = self._chunks[:count], self._chunks[count:]
            self._bytes -= size
            return batch

    def _so_far(self) -> Stored:
        """Behind what earlier attempts have printed: the lines of a step are numbered over all of them."""
        if self._stored is not None:
            return self._stored
        place = Place()
        if self.attempt.number > 1:
            place = _place_after(self.attempt)
        return Stored(place=place.of_a_new_attempt(), digest=chain.start(self._attempt_id))

    def _insert(self, chunks: Sequence[Chunk], before: Stored) -> Stored:
        rows: list[list[Any]] = []
        for chunk in chunks:
            place = before.place
            breaks = place.breaks(chunk.stream, chunk.dropped)
            before = before.after(chunk)
            rows.append(
                [
                    chunk.seq,
                    chunk.stream,
                    bytes(chunk.data),
                    chunk.dropped,
                    place.lines + 1,
                    place.offset,
                    breaks,
                    before.digest,
                ]
            )
        columns = [list(column) for column in zip(*rows, strict=True)]
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_STORE, [*self._holder, *columns, *self._totals(before)])
        notify.hint(notify.run_topic(self.attempt.run_id), 0, "log")
        return before

    @property
    def _holder(self) -> list[UUID]:
        return [self._attempt_id, self.attempt.boot_id]

    def _totals(self, so_far: Stored) -> list[Any]:
        place = so_far.place
        lines = place.lines + place.is_open
        counts = [so_far.seq, so_far.dropped, self._lost, lines, place.offset, place.is_open]
        return [*counts, chain.root(so_far.digest) if so_far.chunks else ""]

    def _take_back(self, chunks: list[Chunk]) -> None:
        with self._lock:
            self._chunks = chunks + self._chunks
            self._bytes = sum(len(chunk.data) for chunk in self._chunks)

    def _give_up(self) -> None:
        """What waits is lost; how much that is stands with the attempt."""
        with self._lock:
            waiting = sum(len(chunk.data) for chunk in self._chunks)
            missing = waiting + sum(chunk.dropped for chunk in self._chunks)
            self._chunks, self._bytes = [], 0
        self._lost += waiting
        self._stored = replace(self._so_far(), dropped=self._so_far().dropped + missing)
        with connection.cursor() as cursor:
            cursor.execute(_COUNT, [*self._holder, *self._totals(self._stored)])

    def _told(self) -> dict[str, Json]:
        stored = self._stored
        if stored is None:
            return {}
        told: dict[str, Json] = {
            "root": chain.root(stored.digest),
            "chunks": stored.chunks,
            "bytes": stored.data_bytes,
            "dropped": stored.dropped,
        }
        return {"log": {**told, "lost": self._lost} if self._lost else told}


def of_lost(step: Step) -> dict[str, Json]:
    """What an entry tells about the log of an attempt whose worker is gone. Whoever still writes it is through, or
    too late: the row of the step is held from here on."""
    Step.objects.select_for_update(no_key=True).get(pk=step.pk)
    row = StepAttempt.objects.filter(step=step, number=step.attempt).first()
    if row is None or not row.log_root:
        return {}
    size = row.chunks.aggregate(chunks=Count("pk"), bytes=Sum(Length("data")))
    return {"log": {"root": row.log_root, **size, "dropped": row.dropped_bytes}}


def _place_after(attempt: Attempt) -> Place:
    """Where the earlier attempts have come to. Whoever printed nothing stands at nought."""
    earlier = StepAttempt.objects.filter(step_id=attempt.step_id, number__lt=attempt.number)
    last = earlier.order_by("-log_bytes", "-number").first()
    if last is None:
        return Place()
    return Place(lines=last.log_lines - last.log_open, offset=last.log_bytes, is_open=last.log_open)


def _link(before: bytes, chunk: Chunk) -> bytes:
    return chain.link(
        before, seq=chunk.seq, stream=chunk.stream, data=bytes(chunk.data), dropped=chunk.dropped
    )


def _state_of(error: BaseException) -> str:
    """The database's own code for what went wrong."""
    cause = error if isinstance(error, psycopg.Error) else error.__cause__
    return str(getattr(cause, "sqlstate", None) or "")


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
