"""Gives entries their place: pending entries become leaves in batches, and the new head is signed.

One leader by an advisory lock; the head is swapped only from what this process knew. It must never sign a root that
it did not compute, and never place an entry before its predecessor in the same stream.
"""

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import FrameType
from uuid import UUID

from django.db import InterfaceError, OperationalError, connection, transaction
from django.utils import timezone
from psycopg import OperationalError as Disconnected

from audit.ledger import checkpoint, integrate
from audit.ledger.entry import system
from audit.ledger.integrate import Broken, Waiting
from audit.ledger.note import Signer
from audit.ledger.record import CHANNEL, record
from audit.ledger.tiles import Edge
from audit.models import Checkpoint

log = logging.getLogger(__name__)

LEADER = 0x636F756E7465  # the advisory lock of the one sequencer
BATCH = 4096
POLL_SECONDS = 0.25  # when a notification is lost
GATHER_SECONDS = 0.02  # entries come in bursts: one batch for many
SIGN_SECONDS = 1.0  # at most one checkpoint each
BEAT_SECONDS = 600.0  # an idle log says that it lives


def ordered(waiting: Iterable[Waiting], sequenced: set[tuple[UUID, int]]) -> list[Waiting]:
    """By time, but never before the predecessor in the stream; an entry without its predecessor is held back."""
    placed: list[Waiting] = []
    done = set(sequenced)
    held: dict[tuple[UUID, int], Waiting] = {}
    for entry in sorted(waiting, key=lambda entry: (entry.occurred_at, entry.stream, entry.version)):
        following: Waiting | None = entry
        while following is not None:
            if following.version > 1 and following.predecessor not in done:
                held[following.predecessor] = following
                break
            placed.append(following)
            done.add(following.place)
            following = held.pop(following.place, None)
    return placed


@dataclass
class Sequencer:
    """The leader's memory: the edge of the tree, the key, and when it last signed."""

    edge: Edge
    signer: Signer
    signed_size: int
    signed_at: float = float("-inf")

    @classmethod
    def start(cls) -> "Sequencer":
        """Take up where the tables are, after checking them; Broken when they disagree with each other."""
        edge = integrate.load()
        newest = checkpoint.latest()
        signer = checkpoint.signer()
        if newest is not None:
            signed = checkpoint.read(newest.note, signer.verifier)
            if signed.size > edge.size:
                raise Broken(f"the checkpoint of {signed.size} entries is ahead of the log of {edge.size}")
            if signed.size == edge.size and signed.root != edge.root():
                raise Broken(f"the checkpoint of {signed.size} entries has another root than the log")
        return cls(edge, signer, newest.size if newest else 0)

    def integrate(self) -> int:
        """Place one batch; answer how many entries it took."""
        with transaction.atomic(durable=True):
            waiting = integrate.take(BATCH)
            batch = ordered(waiting, integrate.sequenced(waiting))
            if not batch:
                return 0
            edge = Edge(self.edge.size, map(bytes, self.edge.levels))
            integrate.place(batch, edge, from_root=self.edge.root())
        self.edge = edge  # only once it is committed
        return len(batch)

    def sign(self, *, now: float) -> bool:
        """Sign the head when there is news and the last signature is a second old."""
        if self.edge.size == self.signed_size or now - self.signed_at < SIGN_SECONDS:
            return False
        size, root = self.edge.size, self.edge.root()
        note = self.signer.sign(checkpoint.Signed(self.signer.name, size, root).text())
        Checkpoint.objects.create(size=size, root=root, note=note, created_at=timezone.now())
        self.signed_size, self.signed_at = size, now
        return True

    def beat(self, *, now: float) -> bool:
        """Record a sign of life when nothing was signed for long: silence must differ from suppression."""
        if now - self.signed_at < BEAT_SECONDS or self.signed_at == float("-inf"):
            return False
        with transaction.atomic(durable=True):
            record("ledger.beat", of=None, subject="ledger", actor=system("system:sequencer"))
        return True

    def step(self, *, now: float) -> int:
        """One round: place what waits, sign what is due."""
        taken = self.integrate()
        self.sign(now=now)
        if not taken:
            self.beat(now=now)
        return taken


def lead(stopping: Callable[[], bool]) -> None:
    """Be the leader until told to stop; returns early only by an exception."""
    with connection.cursor() as cursor:
        cursor.execute(f"LISTEN {CHANNEL}")
    while not _is_leader():
        if stopping():
            return
        listen(1.0)
    sequencer = Sequencer.start()
    log.info("leading from %s entries", sequencer.edge.size)
    while not stopping():
        if sequencer.step(now=time.monotonic()) < BATCH:
            listen(POLL_SECONDS)
            time.sleep(GATHER_SECONDS)
    sequencer.integrate()
    sequencer.sign(now=float("inf"))


def _is_leader() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [LEADER])
        return bool(cursor.fetchone()[0])


def listen(seconds: float) -> None:
    """Wait for news at most this long."""
    for _ in connection.connection.notifies(timeout=seconds, stop_after=1):
        pass


def run() -> None:
    """Until SIGTERM or SIGINT; a lost database is waited for, a broken log is not worked on (Broken)."""
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    pause = 0.1
    while not stop.is_set():
        began = time.monotonic()
        try:
            lead(stop.is_set)
        except (OperationalError, InterfaceError, Disconnected) as error:
            log.warning("the database is away: %s", str(error).strip().splitlines()[:1])
            connection.close()
            pause = 0.1 if time.monotonic() - began > 10 else min(pause * 2, 5.0)
            stop.wait(pause)
    connection.close()
