"""Processes of the product, forked from the supervisor after it has imported everything once.

They share that memory, and none has to import it again: five processes for little more than the price of two, and
a start in seconds. Nothing that is imported before may open a connection or start a thread.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from config.embedded.process import Handle, drop_to

PAUSE_SECONDS = 0.02  # between two looks at a process that was asked to stop
HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)


@dataclass(frozen=True)
class Forked:
    """A copy of this process that runs `body`; of our open files it keeps `fds`."""

    title: str
    body: Callable[[], object]
    fds: Sequence[int] = ()

    def __call__(self, output: IO[bytes] | None = None) -> Handle:
        """In a session of its own if its output goes elsewhere; else it belongs to our terminal."""
        sys.stdout.flush()
        sys.stderr.flush()
        settle = drop_to(os.geteuid())
        pid = os.fork()
        if pid:
            return Fork(pid)
        code = 1
        try:
            settle()
            self._settle(output)
            code = _run(self.body)
        finally:
            os._exit(code)

    def _settle(self, output: IO[bytes] | None) -> None:
        for number in HANDLED:
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - a descriptor is wanted, not a path
            os.dup2(nothing.fileno(), 0)
        if output is not None:
            os.setsid()
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
        _close_all_but(self.fds)
        _entitle(self.title)


class Fork:
    """What we know of a forked process."""

    def __init__(self, pid: int) -> None:
        self.pid, self.code = pid, None if pid else 0

    def poll(self) -> int | None:
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if pid else None
        return self.code

    def wait(self, timeout: float | None = None) -> int:
        since = time.monotonic()
        while (code := self.poll()) is None:
            if timeout is not None and time.monotonic() - since > timeout:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(PAUSE_SECONDS)
        return code

    def send_signal(self, sig: int, /) -> None:
        if self.poll() is None:
            os.kill(self.pid, sig)


def _run(body: Callable[[], Any]) -> int:
    """The exit code; what went wrong is told on standard error."""
    try:
        body()
        code = 0
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - nothing may climb into the supervisor's own code
        traceback.print_exc()
        code = 1
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    return code


def _close_all_but(kept: Sequence[int]) -> None:
    """The supervisor's lock above all: it must be free when the supervisor is gone."""
    for number in sorted(int(name) for name in os.listdir("/proc/self/fd")):  # noqa: PTH208 - names, not paths
        if number > 2 and number not in kept:
            with contextlib.suppress(OSError):
                os.close(number)


def _entitle(title: str) -> None:
    """What `ps` shows, in the room of our own command line; the environment behind it stays readable."""
    numbers = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    start, end = int(numbers[45]), int(numbers[46])
    room = end - start
    if start and room > 1:
        ctypes.memmove(start, title.encode()[: room - 1].ljust(room, b"\0"), room)
