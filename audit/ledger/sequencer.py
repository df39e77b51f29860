"""Gives entries their place: pending entries become leaves in batches, and the new head is sent to be signed.

One leader by an advisory lock; the head is swapped only from what this process knew. The signer, another
process, signs; without it entries still get their place. It must never ask for a root that it did not compute, and
never place an entry before its predecessor in the same stream.
"""

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from types import FrameType
from uuid import UUID

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction
from django.utils import timezone
from psycopg import OperationalError as Disconnected

from audit.ledger import checkpoint, cosigning, integrate, merkle
from audit.ledger.backwards import Watch
from audit.ledger.checkpoint import Signed, SignerAway
from audit.ledger.entry import system
from audit.ledger.integrate import Broken, Waiting, tile
from audit.ledger.record import record
from audit.ledger.signer import Message
from audit.ledger.tiles import Edge, nodes
from audit.models import Checkpoint

log = logging.getLogger(__name__)

LEADER = 0x636F756E7465  # the advisory lock of the one sequencer
BATCH = 4096
POLL_SECONDS = 0.1  # nobody wakes it: the commits of transactions that notify wait for each other
SIGN_SECONDS = 0.8  # at most one checkpoint each, so that hardly any entry waits a second
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
    """The leader's memory: the edge of the tree, what was signed last, and when; and how the signer is asked."""

    edge: Edge
    ask: Callable[[Message], Message]
    signed_size: int
    agreed_size: int  # what we believe that the signer signed last: it tells where we are wrong
    signed_at: float = float("-inf")
    is_away: bool = False
    watch: Watch = field(default_factory=Watch)

    @classmethod
    def start(cls, ask: Callable[[Message], Message] = checkpoint.ask) -> "Sequencer":
        """Take up where the tables are, after checking them; Broken when they disagree with each other."""
        edge = integrate.load()
        newest = checkpoint.newest()
        size = 0
        if newest is not None:
            signed = checkpoint.read(newest.note, checkpoint.keys())
            size = signed.size
            if signed.size > edge.size:
                raise Broken(f"the checkpoint of {signed.size} entries is ahead of the log of {edge.size}")
            if signed.size == edge.size and signed.root != edge.root():
                raise Broken(f"the checkpoint of {signed.size} entries has another root than the log")
        return cls(edge, ask, size, size)

    def integrate(self) -> int:
        """Place one batch; answer how many entries it took."""
        with transaction.atomic(durable=True):
            waiting = integrate.take(BATCH)
            batch = ordered(waiting, integrate.sequenced(waiting))
            if not batch:
                return 0
            edge = Edge(self.edge.size, map(bytes, self.edge.levels))
            shown = integrate.place(batch, edge, from_root=self.edge.root())
        self.edge = edge  # only once it is committed
        self.watch.see((entry.occurred_at for entry in batch), shown=shown)
        return len(batch)

    def sign(self, *, now: float) -> bool:
        """Have the head signed when there is news and the last signature is not of just now; Broken when refused."""
        if self.edge.size == self.signed_size or now - self.signed_at < SIGN_SECONDS:
            return False
        size, root = self.edge.size, self.edge.root()
        try:
            note = self._note(size, root)
        except SignerAway as away:
            if not self.is_away:
                log.warning("no checkpoint is signed: %s", away)
            self.is_away = True
            return False
        if checkpoint.read(note, checkpoint.keys()) != Signed(settings.LEDGER_ORIGIN, size, root):
            raise Broken("the signer signed another head than the one that it was shown")
        Checkpoint.objects.create(size=size, root=root, note=note, created_at=timezone.now())
        self.signed_size, self.signed_at, self.is_away = size, now, False
        return True

    def _note(self, size: int, root: bytes) -> str:
        """What the signer says to this head, with the proof that it begins with what was signed last."""
        for _ in range(2):
            old = self.agreed_size
            proof = merkle.consistency(old, size, nodes(cache(tile))) if 0 < old < size else []
            told = self.ask(
                {
                    "do": "sign", "old": old, "size": size, "root": root.hex(),
                    "proof": [one.hex() for one in proof], "first": self.signed_size == 0,
                }
            )  # fmt: skip
            if "note" in told:
                self.agreed_size = size
                return str(told["note"])
            if "last" not in told:
                raise Broken(f"the signer refuses: {told.get('refused')}")
            self.agreed_size = int(told["last"])
            if self.agreed_size > size:
                break
        raise Broken(
            f"the signer has signed {self.agreed_size} entries, but the log has {size}: its end was cut off"
        )

    def patience(self, *, now: float) -> float:
        """How long it may rest: not beyond the moment when a head that waits is due to be signed."""
        if self.edge.size == self.signed_size or self.is_away:
            return POLL_SECONDS
        return max(0.0, min(POLL_SECONDS, self.signed_at + SIGN_SECONDS - now))

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


def lead(stopping: Callable[[], bool], *, led: Callable[[], None] = lambda: None) -> None:
    """Be the leader until told to stop, and tell once when it is one; returns early only by an exception."""
    while not _is_leader():
        if stopping():
            return
        time.sleep(1.0)
    sequencer = Sequencer.start()
    log.info("leading from %s entries", sequencer.edge.size)
    led()
    while not stopping():
        if sequencer.step(now=time.monotonic()) < BATCH:
            time.sleep(sequencer.patience(now=time.monotonic()))
    sequencer.integrate()
    sequencer.sign(now=float("inf"))


def _is_leader() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [LEADER])
        return bool(cursor.fetchone()[0])


def run() -> None:
    """Until SIGTERM or SIGINT; a lost database is waited for, a broken log is not worked on (Broken)."""
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    pause, led = 0.1, cache(cosigning.start)  # once, however often it leads
    while not stop.is_set():
        began = time.monotonic()
        try:
            lead(stop.is_set, led=led)
        except (OperationalError, InterfaceError, Disconnected) as error:
            log.warning("the database is away: %s", str(error).strip().splitlines()[:1])
            connection.close()
            pause = 0.1 if time.monotonic() - began > 10 else min(pause * 2, 5.0)
            stop.wait(pause)
    connection.close()
