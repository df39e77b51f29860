"""This worker process as the database knows it: its boot id, its heartbeat, what it holds.

One thread renews the leases of everything this process runs, with one statement. It must never decide an
outcome: it says `alive`, `cancel` or `fence` to the supervisor of a step, and nothing else.
"""

import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from mmap import mmap
from uuid import UUID, uuid4

import psycopg
from django.conf import settings
from django.db import Error, close_old_connections, connection
from django.db.models.functions import Now

from orchestration.engine import apart, enrolled
from orchestration.engine.attempt import Attempt, Control
from orchestration.engine.plan import REPEATABLE
from orchestration.models import Worker, WorkerNode

CANCEL_CHANNEL = "countersign_cancel"  # wakes the hearts; losing it costs one heartbeat
log = logging.getLogger(__name__)

_BEAT = """
    UPDATE orchestration_step AS step
       SET heartbeat_at = clock_timestamp(), lease_until = clock_timestamp() + make_interval(secs => %s)
      FROM unnest(%s::uuid[], %s::int[]) AS mine(id, attempt), orchestration_run AS run
     WHERE step.id = mine.id AND step.attempt = mine.attempt AND step.lease_owner = %s
       AND step.state = 'running' AND run.id = step.run_id
 RETURNING step.id, run.cancel_requested_at IS NOT NULL
"""
_SEEN = """
    UPDATE orchestration_workernode SET seen_at = clock_timestamp(), draining = %s, clock_offset_ms = %s,
           heard_at = CASE WHEN %s THEN clock_timestamp() ELSE heard_at END
     WHERE boot_id = %s RETURNING clock_timestamp()
"""


class Node:
    """One worker process, from its start to its end."""

    def __init__(self) -> None:
        self.boot_id = uuid4()
        self._held: dict[UUID, tuple[Attempt, Control]] = {}
        self._lock = threading.Lock()
        self._offset_seconds = 0.0
        self.worker: Worker | None = None
        self._registered = False
        self._heard = threading.Event()
        self._drain_from: float | None = None
        self._stopped = threading.Event()
        self._heart: threading.Thread | None = None

    def register(self) -> None:
        """Make this process known; only then may it claim, and only then is its boot id alive."""
        self.worker = enrolled.this_host()
        WorkerNode.objects.create(
            boot_id=self.boot_id,
            host=socket.gethostname(),
            pid=os.getpid(),
            started_at=Now(),
            seen_at=Now(),
            release=settings.RELEASE,
            runner=enrolled.RUNNER,
            worker=self.worker,
            signature=enrolled.proof(self.boot_id),
        )
        self._registered = True
        if problem := apart.problem():
            log.error("This worker takes no step. %s", problem)

    def start(self) -> None:
        self._heart = threading.Thread(target=self._live, name="heart", daemon=True)
        self._heart.start()

    def wait(self, seconds: float) -> bool:
        """Pause; whether this node is stopped."""
        return self._stopped.wait(seconds)

    def stop(self) -> None:
        """End the threads of this node, now."""
        self._stopped.set()
        if self._heart is not None:
            notify_hearts()
            self._heart.join(settings.HEARTBEAT_SECONDS + 1)

    def hear(self) -> None:
        """The broker brought a message; told with the next heartbeat."""
        self._heard.set()

    @property
    def may_claim(self) -> bool:
        """Not while draining, nor with a clock that is far off: its operator would misread every log. Nor where steps
        cannot be kept apart as the settings ask."""
        in_time = abs(self._offset_seconds) < settings.LEASE_TTL_SECONDS / 3
        return self._registered and in_time and not draining() and not apart.problem()

    @property
    def is_idle(self) -> bool:
        return not self._held

    @contextmanager
    def holding(self, attempt: Attempt, control: Control) -> Iterator[None]:
        """Keep the lease of this attempt alive while the block runs."""
        with self._lock:
            self._held[attempt.step_id] = (attempt, control)
        try:
            yield
        finally:
            with self._lock:
                del self._held[attempt.step_id]

    def beat(self) -> None:
        """Renew every lease with one statement; what did not answer to it is no longer ours."""
        with self._lock:
            held = dict(self._held)
        self._seen()
        if not held:
            return
        attempts = [attempt.number for attempt, _ in held.values()]
        with connection.cursor() as cursor:
            cursor.execute(_BEAT, [settings.LEASE_TTL_SECONDS, list(held), attempts, self.boot_id])
            renewed: dict[UUID, bool] = dict(cursor.fetchall())
        for step_id, (attempt, control) in held.items():
            _say(control, renewed.get(step_id))
            if self._drained and attempt.effect in REPEATABLE:
                control.cancel("the worker drains")

    @property
    def _drained(self) -> bool:
        """Whether the time in which steps may end by themselves, once draining, is over."""
        if not draining():
            return False
        self._drain_from = self._drain_from or time.monotonic()
        return bool(time.monotonic() - self._drain_from > settings.DRAIN_SECONDS)

    def _seen(self) -> None:
        offset, heard = int(self._offset_seconds * 1000), self._heard.is_set()
        with connection.cursor() as cursor:
            cursor.execute(_SEEN, [draining(), offset, heard, self.boot_id])
            row = cursor.fetchone()
        if heard:
            self._heard.clear()
        if row is not None:
            self._offset_seconds = (datetime.now(tz=UTC) - row[0]).total_seconds()

    def _live(self) -> None:
        """The heart's thread: a beat, then a pause that a cancellation cuts short. Outlives the database."""
        while not self._stopped.is_set():
            try:
                close_old_connections()
                if not self._registered:
                    self.register()
                self.beat()
                _pause(settings.HEARTBEAT_SECONDS)
            except (Error, psycopg.Error) as error:  # the supervisors fence themselves if this lasts
                log.warning("no heartbeat: %s", error)
                connection.close()
                self.wait(min(1.0, settings.HEARTBEAT_SECONDS))
        connection.close()


def notify_hearts() -> None:
    """Let every worker look at once whether something it runs was cancelled."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, '')", [CANCEL_CHANNEL])


def _say(control: Control, cancelling: bool | None) -> None:
    if cancelling is None:
        control.fence()
        return
    control.alive()
    if cancelling:
        control.cancel("cancelled")


def _pause(seconds: float) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"LISTEN {CANCEL_CHANNEL}")
    next(connection.connection.notifies(timeout=seconds, stop_after=1), None)


# One byte that the parent shares with its children: a warm shutdown reaches a child that is busy.
_draining = mmap(-1, 1)


def new_worker() -> None:
    """A byte of its own for a worker that begins: it may be forked from whoever started the one that drains."""
    global _draining  # noqa: PLW0603 - one worker, one byte
    _draining = mmap(-1, 1)


def drain() -> None:
    """Let no process of this worker claim another step."""
    _draining[0] = 1


def draining() -> bool:
    return _draining[0] == 1


_this: tuple[int, Node] | None = None


def this() -> Node:
    """The node of this process; a fork gets its own."""
    global _this  # noqa: PLW0603 - one process is one node
    if _this is None or _this[0] != os.getpid():
        _this = (os.getpid(), Node())
        _this[1].start()  # its heart makes it known, as soon as the database answers
    return _this[1]


def heard() -> None:
    """The broker brought this process a message."""
    if _this is not None and _this[0] == os.getpid():
        _this[1].hear()
