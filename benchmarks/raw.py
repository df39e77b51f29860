"""The control of the runner: bare Celery on the same broker, with no permission, policy or ledger in the path."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from celery import Celery, chain, chord, group

RUN = os.environ.get("COUNTERSIGN_RUN_DIR", "")
app = Celery("raw", broker=f"redis+socket://{RUN}/valkey.sock?virtual_host=7")
app.conf.update(
    result_backend=f"redis+socket://{RUN}/valkey.sock?virtual_host=8",
    worker_prefetch_multiplier=1,
    task_ignore_result=True,
    worker_enable_remote_control=False,
    broker_connection_retry_on_startup=True,
)


@app.task
def begin(path: str) -> None:
    """Writes when its code started."""
    with Path(path).open("a") as file:
        file.write(f"{time.time_ns()}\n")


@app.task(ignore_result=False)
def nothing(*_: object) -> None:
    """A step that does nothing."""


@contextmanager
def worker(processes: int = 2) -> Iterator[int]:
    """A prefork worker for the length of a block, warm; its pid."""
    argv = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "benchmarks.raw",
        "worker",
        "-c",
        str(processes),
        "-l",
        "error",
    ]
    process = subprocess.Popen(
        [*argv, "--without-gossip", "--without-mingle"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        group(nothing.s() for _ in range(8))().get(timeout=30)
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def chains(number: int, steps: int) -> float:
    """Seconds of so many chains of so many tasks, each task following the one before."""
    began = time.perf_counter()
    asked = [chain(*[nothing.si() for _ in range(steps)])() for _ in range(number)]
    for one in asked:
        one.get(timeout=120)
    return time.perf_counter() - began


def fan_out(width: int) -> float:
    """Seconds of one task, then so many at once, then one."""
    began = time.perf_counter()
    chain(nothing.si(), chord([nothing.si() for _ in range(width)], nothing.si()))().get(timeout=120)
    return time.perf_counter() - began


def starts(path: Path, number: int) -> list[float]:
    """Seconds from sending a message to the first line of its code, one after the other."""
    waits = []
    for _ in range(number):
        sent = time.time_ns()
        begin.delay(str(path))
        waits.append((arrival(path) - sent) / 1e9)
    return waits


def arrival(path: Path, *, seconds: float = 60) -> int:
    """The time that a step wrote into this file, which is emptied."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if path.exists() and (said := path.read_text()).endswith("\n"):
            path.unlink()
            return int(said)
        time.sleep(0.002)
    raise TimeoutError(f"nothing was written to {path} within {seconds} s")
