"""Load and random deaths at once: what is asked for, what is killed, and what an independent witness saw of it.

Everything random comes from one seed, so that a schedule can be had again.
"""

import contextlib
import os
import signal
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import psutil
import psycopg

from tests.faults.many import approve_all
from tests.faults.product import Asker, NotDone, family, shell, tell
from tests.stack import Stack

RECOVERS_SECONDS = 20  # the same target is left alone for so long: the product's pauses grow with each death
START_SECONDS = 60  # between two deaths of the supervisor: all else begins anew with it
SIGN_IN_SECONDS = 1200  # a sign-in counts for an hour where the environment is protected
HTTP_EVERY = 4  # every so many changes are asked for and approved over HTTP
VERSIONS = 500_000


def marking(witness: Path, seconds: float, *, first_fails: bool = False) -> str:
    """Says for its key and its attempt that it begins, goes on, and ends: each a line of its own."""
    say = f'say() {{ echo "$1 $IDEMPOTENCY_KEY $STEP_ATTEMPT" >> {witness}; }}'
    ticks = f"for i in $(seq {int(seconds * 10)}); do sleep 0.1; say goes; done"
    fails = '[ "$STEP_ATTEMPT" = 1 ] && exit 1; ' if first_fails else ""
    return f"{say}; say begins; {ticks}; {fails}say ends"


def mixed(random: Random, witness: Path) -> list[dict[str, Any]]:
    """The steps of one change: of one effect or another, in a row, side by side, or with a first try that fails."""
    seconds = random.uniform(0, 2)
    script = marking(witness, seconds)
    kind = random.choice(("once", "row", "fan", "flaky", "checked"))
    if kind == "once":
        return [shell("a", script)]
    if kind == "row":
        return [shell("a", script, effect="idempotent"), shell("b", marking(witness, 0), needs=["a"])]
    if kind == "flaky":
        return [shell("a", marking(witness, 0.2, first_fails=True), effect="idempotent", retries=2)]
    if kind == "checked":
        check = {
            "argv": ["/bin/sh", "-c", f"grep -q 'ends '$IDEMPOTENCY_KEY {witness}"],
            "timeout_seconds": 20,
        }
        return [shell("a", script, effect="reconcilable", check=check)]
    sides = [shell(key, script, effect="idempotent", needs=["a"]) for key in ("b", "c", "d")]
    return [shell("a", marking(witness, 0)), *sides, shell("e", marking(witness, 0), needs=["b", "c", "d"])]


class Chaos:
    """One spell of it over a running stack."""

    def __init__(self, stack: Stack, ask: Asker, folder: Path, *, seed: int) -> None:
        self.stack, self.ask, self.folder = stack, ask, folder
        self.witness, self.people = folder / "witness", stack.home / "people"
        self.load, self.fate = Random(seed), Random(seed + 1)  # noqa: S311 - repeatable
        self.promised: list[str] = []
        self.verdicts: Counter[str] = Counter()
        self.versions: list[int] = []
        self.kills: Counter[str] = Counter()
        self.refused = 0
        self.pins: list[Path] = []
        self.over = threading.Event()
        self.died: list[BaseException] = []
        self.spared = {"supervisor": time.monotonic() + START_SECONDS}

    def go_on_for(self, seconds: float) -> None:
        """Load in one thread, deaths in another, and a third that keeps what was signed."""
        threads = [
            threading.Thread(target=self._until_over, args=(act,))
            for act in (self._loads, self._kills, self._keeps)
        ]
        for thread in threads:
            thread.start()
        self.over.wait(seconds)
        self.over.set()
        for thread in threads:
            thread.join()
        if self.died:
            raise self.died[0]

    def _until_over(self, act: Callable[[], Iterator[float]]) -> None:
        try:
            for pause in act():
                if self.over.wait(pause):
                    return
        except BaseException as error:  # noqa: BLE001 - told by whoever waits
            self.died.append(error)
            self.over.set()

    # --- what is asked for ------------------------------------------------------------------------------------

    def _loads(self) -> Iterator[float]:
        sessions, since, number = self.ask.people(self.people), time.monotonic(), 0
        while True:
            number += 1
            if time.monotonic() - since > SIGN_IN_SECONDS:
                with contextlib.suppress(NotDone):
                    sessions, since = self.ask.people(self.people), time.monotonic()
            if number % HTTP_EVERY:
                self._ask_inside()
            else:
                told = approve_all(self.stack.port, sessions, [VERSIONS + number], clients=1)
                self.verdicts.update(verdict for one in told.answers for verdict in one["verdicts"])
                self.versions.append(VERSIONS + number)
            yield self.load.uniform(0, 0.5)

    def _ask_inside(self) -> None:
        """Where the database died meanwhile nobody was promised anything."""
        try:
            self.promised += self.ask(*mixed(self.load, self.witness))["runs"]
        except NotDone:
            self.refused += 1

    # --- what dies --------------------------------------------------------------------------------------------

    def _kills(self) -> Iterator[float]:
        targets = {
            "worker": self._worker, "worker process": self._worker_process, "step supervisor": self._step_supervisor,
            "web": self._child("web"), "valkey": self._child("valkey"), "beat": self._child("beat"),
            "sequencer": self._child("sequencer"), "postgres": self._child("postgres"),
            "postgres, in good order": self._child("postgres", signal.SIGINT), "supervisor": self._supervisor,
        }  # fmt: skip
        while True:
            yield self.fate.uniform(0.5, 4)
            now = time.monotonic()
            able = [name for name in sorted(targets) if now > self.spared.get(name.partition(",")[0], 0)]
            if not able:
                continue
            name = self.fate.choice(able)
            with contextlib.suppress(
                psutil.Error, ProcessLookupError, KeyError, FileNotFoundError, IndexError
            ):
                targets[name]()
                self.kills[name] += 1
                self.spared[name.partition(",")[0]] = time.monotonic() + RECOVERS_SECONDS

    def _child(self, name: str, number: signal.Signals = signal.SIGKILL) -> Callable[[], object]:
        return lambda: self.stack.kill(name, number)

    def _worker(self) -> None:
        tell(family(self.stack, "worker"), signal.SIGKILL)

    def _worker_process(self) -> None:
        pool = psutil.Process(self.stack.pids()["worker"]).children()
        self.fate.choice([one for one in pool if "celery worker" in " ".join(one.cmdline())]).kill()

    def _step_supervisor(self) -> None:
        below = [psutil.Process(pid) for pid in family(self.stack, "worker")]
        servers = [one.pid for one in below if "forkserver.py" in " ".join(one.cmdline())]
        supervisors = [pid for pid in servers if psutil.Process(pid).ppid() in servers]
        os.kill(self.fate.choice(supervisors), signal.SIGKILL)

    def _supervisor(self) -> None:
        """With all that it holds; whoever runs the machine starts it again."""
        self.stack.kill("supervisor")
        self.stack.start()
        self.spared = dict.fromkeys(self.stack.pids(), time.monotonic() + 5)
        self.spared["supervisor"] = time.monotonic() + START_SECONDS

    # --- what is kept elsewhere -------------------------------------------------------------------------------

    def _keeps(self) -> Iterator[float]:
        """Checkpoints as anybody may fetch them: the log must go on from each of them."""
        address = f"{self.stack.url}/audit/log/checkpoint"
        while True:
            yield 5
            with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=5) as answer:  # noqa: S310
                pin = self.folder / f"pin{len(self.pins)}"
                pin.write_bytes(answer.read())
                self.pins.append(pin)

    # --- what was seen ----------------------------------------------------------------------------------------

    def unfinished(self) -> int:
        """Runs that neither ended nor wait for a person."""
        moving = "SELECT count(*) FROM orchestration_run WHERE state IN ('ready', 'running')"
        try:
            return int(self.stack.query(moving)[0][0])
        except psycopg.OperationalError:
            return -1

    def left(self) -> str:
        """In words, what still moves, for whoever has to find out why."""
        rows = self.stack.query(
            "SELECT r.number, r.state, s.key, s.state, s.attempt, s.not_before - clock_timestamp(), s.held_reason"
            " FROM orchestration_step s JOIN orchestration_run r ON r.id = s.run_id"
            " WHERE r.state IN ('ready', 'running') ORDER BY r.number, s.position"
        )
        return "\n".join(" ".join(map(str, row)) for row in rows)

    def seen(self) -> dict[str, list[tuple[str, int]]]:
        """By the key of a step, in the order in which it was written: what was said, by which attempt."""
        told: dict[str, list[tuple[str, int]]] = {}
        for line in self.witness.read_text().splitlines():
            what, key, attempt = line.split()
            told.setdefault(key, []).append((what, int(attempt)))
        return told
