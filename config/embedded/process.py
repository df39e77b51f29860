"""One child process: started so that it dies with the supervisor, stopped so that nothing of it is left."""

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

PR_SET_PDEATHSIG = 1
MARKER = "COUNTERSIGN_UP"  # in the environment of every child: finds what a killed supervisor left behind
BACKOFF_SECONDS = (0, 1, 2, 5, 10, 30)
STEADY_SECONDS = 30  # a child that lived this long starts again without delay
_libc = ctypes.CDLL(None, use_errno=True)


def drop_to(uid: int) -> Callable[[], None]:
    """For a child, between fork and exec: an unprivileged uid where we are root, and death with its parent."""
    parent = os.getpid()

    def prepare() -> None:
        os.umask(0o077)
        if os.geteuid() == 0 and uid != 0:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # the parent died before the line above
            os._exit(1)

    return prepare


@dataclass
class Child:
    """A process that shall run: `argv`, its environment, where its output goes, how it is asked to stop."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    log: Path
    uid: int
    stop_signal: signal.Signals = signal.SIGTERM
    grace_seconds: float = 15
    popen: subprocess.Popen[bytes] | None = None
    started: float = 0
    failures: int = 0
    due: float = field(default=0)

    def start(self) -> None:
        """Start it in a session of its own, so that a Ctrl-C in the terminal reaches the supervisor alone."""
        with self.log.open("ab") as output:
            self.popen = subprocess.Popen(
                self.argv,
                env=dict(self.env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=drop_to(self.uid),
                cwd="/" if self.uid != os.geteuid() else None,
            )
        self.started = time.monotonic()

    def is_alive(self) -> bool:
        return self.popen is not None and self.popen.poll() is None

    def revive(self) -> bool:
        """Start it again when it has died and its pause is over; True when it was started."""
        now = time.monotonic()
        if self.is_alive():
            return False
        if not self.due:
            self.failures = 0 if now - self.started > STEADY_SECONDS else self.failures + 1
            self.due = now + BACKOFF_SECONDS[min(self.failures, len(BACKOFF_SECONDS) - 1)]
        if now < self.due:
            return False
        self.due = 0
        self.start()
        return True

    def stop(self) -> None:
        """Ask, wait, then kill the whole session."""
        if self.popen is None:
            return
        if self.is_alive():
            self.popen.send_signal(self.stop_signal)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.popen.wait(self.grace_seconds)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()


def leftovers(marker: str) -> list[int]:
    """Pids that carry this marker: children of a supervisor that was killed."""
    wanted = f"{MARKER}={marker}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                if wanted in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
            except OSError:
                continue  # it ended meanwhile, or belongs to somebody else
    return found


def kill_leftovers(marker: str, *, patience_seconds: float = 10) -> int:
    """End them all and wait until they are gone; how many there were."""
    first = leftovers(marker)
    deadline = time.monotonic() + patience_seconds
    left = first
    while left and time.monotonic() < deadline:
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.05)
        left = [pid for pid in leftovers(marker) if not _is_zombie(pid)]
    return len(first)


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
