"""What an entry costs. Needs a migrated database of its own, without a sequencer: it writes entries and places them.

The control is the plain way to the same promise: one hash chain over all rows, its end held under a lock until the
transaction commits. Both run in the same run, once alone and once with 10 ms of other work in each transaction, as a
request has.
"""

import hashlib
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import django
from django.db import connection, transaction

import audit.verify
from audit.canonical import uuid7
from audit.ledger import checkpoint, export
from audit.ledger.entry import system
from audit.ledger.record import encode, record
from audit.ledger.sequencer import Sequencer
from audit.models import Leaf
from benchmarks.row import Row

ALONE = "import django; django.setup(); from benchmarks import ledger; ledger.place()"
CLIENTS, PROCESSES = 32, 2
STARTING = 6.0  # seconds until every process is up and every connection open
Act = Callable[[float], None]
SECONDS = 4.0
BENCH = system("system:benchmark")
TOLD = {"change": "CHG-2041", "digest": "sha256:" + "a" * 64, "was": "waiting", "note": "x" * 200}
CHAIN = """
CREATE TABLE bench_chain (id bigserial PRIMARY KEY, body bytea NOT NULL, hash bytea NOT NULL);
CREATE TABLE bench_chain_end (id int PRIMARY KEY, hash bytea NOT NULL);
INSERT INTO bench_chain_end VALUES (1, '');
"""
SEALED = """
SELECT percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY extract(epoch FROM c.created_at - e.occurred_at))
FROM audit_leaf l JOIN audit_entry e ON e.id = l.entry_id CROSS JOIN LATERAL (
    SELECT created_at FROM audit_checkpoint WHERE size > l.index ORDER BY size LIMIT 1
) c WHERE l.index >= %s
"""


@dataclass(frozen=True)
class Took:
    """Seconds of each act of all clients, sorted."""

    seconds: list[float]

    @property
    def rate(self) -> float:
        return len(self.seconds) / SECONDS

    def rows(self, name: str) -> list[Row]:
        count = len(self.seconds)
        return [
            Row(f"{name}, {CLIENTS} clients", self.rate, "per second"),
            Row(f"{name}, median", self.seconds[count // 2] * 1000, "ms"),
            Row(f"{name}, 99th percentile", self.seconds[count * 99 // 100] * 1000, "ms"),
        ]


def run() -> list[Row]:
    """Controls included."""
    with connection.cursor() as cursor:
        cursor.execute(CHAIN)
    try:
        rows = [*_compared("alone", 0.0), *_compared("10 ms of other work", 0.01)]
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE bench_chain, bench_chain_end")
    return [*rows, *_offline()]


def _compared(name: str, work: float) -> list[Row]:
    size = Leaf.objects.count()
    with _placing():
        entries = _clients(_append, work)
    chained = _clients(_chain, work)
    with connection.cursor() as cursor:
        cursor.execute(SEALED, [size])
        median, late = cursor.fetchone()[0]
    return [
        *entries.rows(f"entry, {name}"),
        *chained.rows(f"entry in one locked chain, {name} (control)"),
        Row(f"entries against the control, {name}", entries.rate / chained.rate, "times"),
        Row(f"from act to signed checkpoint, {name}, median", median * 1000, "ms"),
        Row(f"from act to signed checkpoint, {name}, 95th percentile", late * 1000, "ms"),
    ]


def _append(work: float) -> None:
    with transaction.atomic():
        time.sleep(work / 2)
        record("bench.happened", of=None, subject="CHG-2041", actor=BENCH, **TOLD)
        time.sleep(work / 2)


def _chain(work: float) -> None:
    """The same entry, but each names the hash of the one before: the end is locked until the commit."""
    with transaction.atomic(), connection.cursor() as cursor:
        time.sleep(work / 2)
        cursor.execute("SELECT hash, clock_timestamp() FROM bench_chain_end WHERE id = 1 FOR UPDATE")
        previous, at = cursor.fetchone()
        key = uuid7()
        body = encode(key, "bench.happened", at, key, 1, bytes(previous), None, BENCH, "CHG-2041", TOLD)
        value = hashlib.sha256(bytes(previous) + body).digest()
        cursor.execute("INSERT INTO bench_chain (body, hash) VALUES (%s, %s)", [body, value])
        cursor.execute("UPDATE bench_chain_end SET hash = %s WHERE id = 1", [value])
        time.sleep(work / 2)


def _clients(act: Act, work: float) -> Took:
    """All clients do this at once for some seconds, each on its own connection, in as many processes as a host has web
    servers: one process alone would measure its own lock."""
    at = time.time() + STARTING
    with ProcessPoolExecutor(
        PROCESSES, mp_context=get_context("spawn"), initializer=django.setup
    ) as processes:
        some = [processes.submit(_some, act, work, at) for _ in range(PROCESSES)]
        return Took(sorted(one for took in some for one in took.result()))


def _some(act: Act, work: float, at: float) -> list[float]:
    """The share of one process, from that moment on."""

    def client(_: int) -> list[float]:
        try:
            act(work)  # opens the connection
            time.sleep(max(0.0, at - time.time()))
            took: list[float] = []
            while (started := time.time()) < at + SECONDS:
                act(work)
                took.append(time.time() - started)
            return took
        finally:
            connection.close()

    share = CLIENTS // PROCESSES
    with ThreadPoolExecutor(share) as threads:
        return [one for some in threads.map(client, range(share)) for one in some]


@contextmanager
def _placing() -> Iterator[None]:
    """A sequencer at work beside the clients, in a process of its own; at the end everything has its place."""
    command = [sys.executable, "-c", ALONE]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield
        process.communicate("")
    assert process.returncode == 0


def place() -> None:
    """What that process does, until its input ends. The socket between sequencer and signer costs less than 1 ms."""
    leader = Sequencer.start(checkpoint.keeper().answer)
    print("ready", flush=True)
    stopping = threading.Event()

    def wait() -> None:
        sys.stdin.read()
        stopping.set()

    threading.Thread(target=wait).start()
    while leader.step(now=time.monotonic()) or not stopping.wait(0.05):
        time.sleep(0.02)
    leader.sign(now=float("inf"))


def _offline() -> list[Row]:
    """Everything again, by the stand-alone verifier."""
    with tempfile.TemporaryDirectory() as folder:
        size = export.write(Path(folder)).size
        key = str(checkpoint.verifier())
        command = [sys.executable, "-I", str(audit.verify.__file__), "export", folder, "--key", key]
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        took = time.perf_counter() - began
    return [Row("entries verified offline", size / took, "per second")]
