"""One child process: started so that it dies with the supervisor, stopped so that nothing of it is left."""

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

PR_SET_PDEATHSIG = 1
MARKER = "COUNTERSIGN_UP"  # in the environment of every child: finds what a killed supervisor left behind
SERVERS = {"initdb", "postgres", "valkey-server"}
BACKOFF_SECONDS = (0, 1, 2, 5, 10, 30)
STEADY_SECONDS = 30  # a child that lived this long starts again without delay
LOG_MAX_BYTES = 5_000_000  # then it is put aside, once, at the next start
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(number: int) -> None:
    """Let the kernel send us this signal when the process that started us is gone."""
    _libc.prctl(PR_SET_PDEATHSIG, number)


def drop_to(uid: int) -> Callable[[], None]:
    """For a child, between fork and exec: an unprivileged uid where we are root, and death with its parent."""
    parent = os.getpid()

    def prepare() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.umask(0o077)
        if os.geteuid() == 0 and uid != 0:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
        die_with_parent(signal.SIGKILL)
        if os.getppid() != parent:  # the parent died before the line above
            os._exit(1)

    return prepare


class Handle(Protocol):
    """What we know of a process that we started; subprocess.Popen is one."""

    pid: int

    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, sig: int, /) -> None: ...


@dataclass(frozen=True)
class Program:
    """A program of its own, run as `uid` from `cwd`."""

    argv: Sequence[str]
    env: Mapping[str, str]
    uid: int
    cwd: Path

    def __call__(self, output: IO[bytes]) -> Handle:
        """In a session of its own, so that a Ctrl-C in the terminal reaches the supervisor alone."""
        return subprocess.Popen(
            self.argv,
            env=dict(self.env),
            cwd=self.cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=drop_to(self.uid),
        )


@dataclass
class Child:
    """A process that shall run: how it is started, where its output goes, how it is asked to stop."""

    name: str
    launch: Callable[[IO[bytes]], Handle]
    log: Path
    stop_signal: signal.Signals = signal.SIGTERM
    grace_seconds: float = 15
    once: bool = False  # it ends by itself, and is not brought back
    before: Callable[[], None] = lambda: None
    handle: Handle | None = None
    started: float = 0
    failures: int = 0
    due: float | None = None

    def start(self) -> None:
        """Start it; its output is added to its log."""
        self.before()
        if self.log.exists() and self.log.stat().st_size > LOG_MAX_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open("ab") as output:
            self.handle = self.launch(output)
        self.started, self.due = time.monotonic(), None

    def is_alive(self) -> bool:
        return self.handle is not None and self.handle.poll() is None

    def is_over(self) -> bool:
        """Whether it was to run once, and has; what it left in its session is gone too."""
        if not self.once or self.is_alive():
            return False
        self._end()
        return True

    def revive(self) -> bool:
        """Start it again when it has died and its pause is over; True when it was started."""
        if self.is_alive() or self.once:
            return False
        now = time.monotonic()
        if self.due is None:
            self._end()
            steady = now - self.started > STEADY_SECONDS
            self.due = now + BACKOFF_SECONDS[0 if steady else min(self.failures, len(BACKOFF_SECONDS) - 1)]
            self.failures = 0 if steady else self.failures + 1
        if now < self.due:
            return False
        self.start()
        return True

    def stop(self) -> None:
        """Ask, wait, then kill the whole session."""
        if self.handle is None:
            return
        if self.is_alive():
            self.handle.send_signal(self.stop_signal)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.handle.wait(self.grace_seconds)
        self._end()
        self.handle.wait()

    def _end(self) -> None:
        """Whatever the process started in its own session goes with it."""
        if self.handle is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.handle.pid, signal.SIGKILL)


def pids(is_wanted: Callable[[Path], bool]) -> list[int]:
    """Of all living processes but ourselves, those whose folder in /proc answers yes."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended meanwhile, or belongs to somebody else
            if int(folder.name) != os.getpid() and is_wanted(folder) and not _is_zombie(folder):
                found.append(int(folder.name))
    return found


def leftovers(data: Path) -> list[int]:
    """What a killed supervisor of this data directory left behind."""
    return pids(lambda process: is_server_in(data / "servers", process) or _is_marked(data, process))


def is_server_in(folder: Path, process: Path) -> bool:
    """A server that stands in the folder or below. They write their title over what they were started with."""
    program = (process / "exe").readlink().name
    return program in SERVERS and (process / "cwd").readlink().is_relative_to(folder)


def _is_marked(data: Path, process: Path) -> bool:
    return f"{MARKER}={data}".encode() in (process / "environ").read_bytes().split(b"\0")


def kill_all(find: Callable[[], list[int]], *, patience_seconds: float = 10) -> None:
    """End what `find` finds, and wait until it finds nothing more."""
    deadline = time.monotonic() + patience_seconds
    while found := find():
        if time.monotonic() > deadline:
            raise RuntimeError(f"Processes {found} of an earlier start do not end; end them and try again.")
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def _is_zombie(folder: Path) -> bool:
    return (folder / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
