"""A step's processes, whatever they did to hide: found as descendants of their supervisor, ended until none is left.

The supervisor is a child subreaper (prctl(2)), so that daemons that fork twice or start a session of their own fall
to it and not to init.
"""

import ctypes
import os
import resource
import signal
import time

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER = 1, 4, 36
_libc = ctypes.CDLL(None, use_errno=True)


def adopt_orphans() -> None:
    """Make this process the reaper of all its descendants."""
    _libc.prctl(PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent() -> None:
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def be_private() -> None:
    """Nobody of the same user reads this process's memory, and no core of it is written."""
    _libc.prctl(PR_SET_DUMPABLE, 0)
    limit({"CORE": 0})


def descendants(of: int) -> list[int]:
    """Pids of every living descendant, zombies left out."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 - pathlib costs memory in every supervisor
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as file:  # noqa: PTH123
                    state, parent = file.read().rpartition(")")[2].split()[:2]
            except OSError:
                continue
            if state != "Z":
                children.setdefault(int(parent), []).append(int(name))
    found, waiting = [], [of]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def tell(pids: list[int], number: int) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def end_all(of: int, *, patience_seconds: float = 5) -> list[int]:
    """SIGKILL every descendant until none is left; the pids that outlived even that."""
    deadline = time.monotonic() + patience_seconds
    left = descendants(of)
    while left and time.monotonic() < deadline:
        tell(left, signal.SIGKILL)
        bury()
        time.sleep(0.005)
        left = descendants(of)
    bury()
    return left


def bury() -> None:
    """Reap every dead child."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def limit(limits: dict[str, int]) -> None:
    """Resource limits by name (`NOFILE`, `CORE`, ...), never above what this process may set."""
    for name, value in limits.items():
        kind = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(kind)[1]
        allowed = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (allowed, allowed))
