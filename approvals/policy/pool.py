"""A pool of child processes that evaluate policy under limits: a crash, a loop or a panic denies.

The one place in this app that starts processes. It must never hand an answer on that came late, cut or from
a child that misbehaved: that child is killed and the next request gets a new one.
"""

import atexit
import json
import os
import select
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from queue import Empty, LifoQueue
from typing import Any

from django.conf import settings

from approvals.policy.engine import Fault, PolicyRefused, PolicyUnavailable, Rule, Sources, TestResult

CHILD = Path(__file__).with_name("regorus.py")
START_SECONDS = 30  # a cold interpreter on a busy machine
QUEUE_SECONDS = 10  # longest wait for a free child
EVALUATE_SECONDS = 2.0
COMPILE_SECONDS = 20.0
WORKED_SECONDS = 3.0  # of the processor, without an end in that time: a loop, and no busy machine
ANSWER_BYTES = 4_000_000
# The engine's allocator would reserve 1 GiB of addresses at once, and no limit on them could then be meant.
ENVIRONMENT = {"LC_ALL": "C.UTF-8", "MIMALLOC_ARENA_RESERVE": "32768"}  # KiB


class Misbehaved(Exception):
    """The child did not answer as it must; the sentence says how."""


class Spent(Misbehaved):
    """The child was ended by what it worked at: its processor time, its memory, its stack. Nobody killed it."""


class Child:
    """One process: asked, answers, or is killed."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(CHILD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=ENVIRONMENT,
            cwd="/",
            start_new_session=True,
        )
        assert self._process.stdin is not None  # noqa: S101 - both were asked for above
        assert self._process.stdout is not None  # noqa: S101
        self._in, self._out = self._process.stdin, self._process.stdout
        self.at: dict[str, Any] | None = None  # the file or the test that it told to be at last
        os.set_blocking(self._in.fileno(), False)
        os.set_blocking(self._out.fileno(), False)
        try:
            self._read(time.monotonic() + START_SECONDS)
        except Misbehaved:
            self.stop()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, request: Mapping[str, Any], *, seconds: float) -> dict[str, Any]:
        deadline, self.at = time.monotonic() + seconds, None
        data = json.dumps(request).encode()
        self._write(struct.pack(">I", len(data)) + data, deadline)
        began = self._worked()
        try:
            while "at" in (answer := self._read(deadline)):
                self.at = answer["at"]
        except Misbehaved as how:
            if self._worked() - began > WORKED_SECONDS:
                raise Spent(str(how)) from how
            raise
        return answer

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        self._out.close()
        with suppress(BrokenPipeError):  # what was left unwritten does not matter any more
            self._in.close()

    def _write(self, data: bytes, deadline: float) -> None:
        rest = memoryview(data)
        while rest:
            _wait(self._in.fileno(), deadline, writing=True)
            try:
                rest = rest[os.write(self._in.fileno(), rest) :]
            except BlockingIOError:
                continue
            except BrokenPipeError as error:
                raise self._ended() from error

    def _read(self, deadline: float) -> dict[str, Any]:
        length = struct.unpack(">I", self._exactly(4, deadline))[0]
        if length > ANSWER_BYTES:
            raise Misbehaved(f"its answer has {length} bytes")
        try:
            answer = json.loads(self._exactly(length, deadline))
        except (ValueError, RecursionError) as error:
            raise Misbehaved(str(error)[:200]) from error
        return dict(answer)

    def _exactly(self, length: int, deadline: float) -> bytes:
        data = bytearray()
        while len(data) < length:
            _wait(self._out.fileno(), deadline, writing=False)
            try:
                part = os.read(self._out.fileno(), min(length - len(data), 65536))
            except BlockingIOError:
                continue
            if not part:
                raise self._ended()
            data += part
        return bytes(data)

    def _worked(self) -> float:
        """Seconds of processor time so far; as good as none where it is gone."""
        try:
            told = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(told[11]) + int(told[12])) / os.sysconf("SC_CLK_TCK")

    def _ended(self) -> Misbehaved:
        """Killed from outside says nothing about what it worked at."""
        try:
            code = self._process.wait(1)
        except subprocess.TimeoutExpired:
            return Misbehaved("it closed its pipe")
        return (
            Misbehaved("it was killed") if code in {-signal.SIGKILL, -signal.SIGTERM} else Spent("it ended")
        )


def _wait(fd: int, deadline: float, *, writing: bool) -> None:
    left = deadline - time.monotonic()
    poll = select.poll()  # select() fails on descriptors above 1023
    poll.register(fd, select.POLLOUT if writing else select.POLLIN)
    if left <= 0 or not poll.poll(left * 1000):
        raise Misbehaved("it took too long")


class Pool:
    """At most `size` children, started when first needed; each serves one request at a time."""

    def __init__(self, size: int) -> None:
        self._free: LifoQueue[Child | None] = LifoQueue()
        for _ in range(size):
            self._free.put(None)
        self._closed = False

    def compile(self, sources: Sources) -> list[Rule]:
        rows = self._ask({"do": "compile", "sources": dict(sources)}, seconds=COMPILE_SECONDS)
        names = ("says", "reads", "uses")
        return [Rule(**{**row, **{name: tuple(row[name]) for name in names}}) for row in rows]

    def test(self, sources: Sources) -> list[TestResult]:
        rows = self._ask({"do": "test", "sources": dict(sources)}, seconds=COMPILE_SECONDS)
        return [TestResult(**row) for row in rows]

    def evaluate(self, bundle: str, sources: Sources, facts: Mapping[str, Any]) -> Any:
        request = {"do": "evaluate", "bundle": bundle, "input": facts}
        return self._ask(request, seconds=EVALUATE_SECONDS, sources=sources)

    def close(self) -> None:
        """Stop the children that are idle; those at work are killed when they come back."""
        self._closed = True
        while True:
            try:
                child = self._free.get_nowait()
            except Empty:
                return
            if child is not None:
                child.stop()

    def _ask(self, request: Mapping[str, Any], *, seconds: float, sources: Sources | None = None) -> Any:
        child = self._checkout()
        answered = False
        try:
            child = child or Child()
            answer = child.ask(request, seconds=seconds)
            if "missing" in answer and sources is not None:
                answer = child.ask({**request, "sources": dict(sources)}, seconds=seconds)
            answered = True
        except Spent as how:
            if child is not None and child.at and sources is None:
                raise _spent(Fault(**child.at)) from how
            raise PolicyUnavailable(_sentence(f"the policy process was stopped because {how}")) from how
        except Misbehaved as how:
            raise PolicyUnavailable(_sentence(f"the policy process was stopped because {how}")) from how
        except OSError as error:
            raise PolicyUnavailable(_sentence(f"no policy process could be started ({error})")) from error
        finally:
            self._give_back(child, healthy=answered)
        return _value(answer)

    def _checkout(self) -> Child | None:
        try:
            return self._free.get(timeout=QUEUE_SECONDS)
        except Empty as empty:
            raise PolicyUnavailable(_sentence("every policy process is busy")) from empty

    def _give_back(self, child: Child | None, *, healthy: bool) -> None:
        """A child that was interrupted in the middle of an answer is never asked again."""
        if child is not None and (self._closed or not healthy):
            child.stop()
            child = None
        self._free.put(child)


def _value(answer: Mapping[str, Any]) -> Any:
    if "value" in answer:
        return answer["value"]
    told = answer.get("refused", [{"file": "", "line": 0, "message": "the bundle is missing"}])
    faults = [Fault(**one) for one in told]
    raise PolicyRefused(
        f"The policy gave no answer, so nothing proceeds: {faults[0].place}: {faults[0].message}",
        faults=faults,
    )


def _spent(at: Fault) -> PolicyRefused:
    said = (
        f"{at.message} takes more processor time, memory or depth than a policy may use, so it was stopped."
    )
    return PolicyRefused(f"{at.place}: {said}", faults=[replace(at, message=said)])


def _sentence(cause: str) -> str:
    return f"Policy could not be evaluated: {cause}. Nothing was decided; try again, or ask who looks after policy."


_lock = threading.Lock()
_pools: dict[tuple[int, str], Pool] = {}  # by process: a forked one must not talk into its parent's pipes


def engine() -> Pool:
    """The pool of this process that judges."""
    return _pool("judges")


def trial() -> Pool:
    """Another for what only asks: candidates, their tests, what-if. However many loop, no decision waits for them."""
    return _pool("trial")


def _pool(name: str) -> Pool:
    with _lock:
        mine = (os.getpid(), name)
        if mine not in _pools:
            for other in [one for one in _pools if one[0] != mine[0]]:
                del _pools[other]
            _pools[mine] = Pool(settings.POLICY_PROCESSES)
        return _pools[mine]


@atexit.register
def _close() -> None:
    for (process, _), pool in _pools.items():
        if process == os.getpid():
            pool.close()
