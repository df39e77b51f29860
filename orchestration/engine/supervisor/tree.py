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


def come_first(yes: bool = True) -> None:
    """Run before everything that does not, while a tree that grows is measured and ended: among thousands that want
    the processor its supervisor would have to wait its turn. Only root may; nobody else has so many processes."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR if yes else os.SCHED_OTHER, os.sched_param(1 if yes else 0))
    except OSError:
        return


def descendants(of: int) -> list[int]:
    """Pids of every living descendant, zombies left out."""
    return list(measured(of))


def measured(of: int) -> dict[int, tuple[int, int]]:
    """Every living descendant with its threads and its resident pages."""
    children: dict[int, list[int]] = {}
    sizes: dict[int, tuple[int, int]] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 - pathlib costs memory in every supervisor
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123
                    told = file.read().rpartition(b")")[2].split()
            except OSError:
                continue
            if told[0] != b"Z":
                children.setdefault(int(told[1]), []).append(int(name))
                sizes[int(name)] = int(told[17]), int(told[21])
    found, waiting = [], [of]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return {pid: sizes[pid] for pid in found}


def tell(pids: list[int], number: int) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):  # a program that became another user, for one
            continue


def kill(of: int, *, until: float) -> list[int]:
    """SIGKILL every descendant. They are stopped first, in rounds: what is stopped makes no more of them."""
    stopped: set[int] = set()
    while True:
        left = descendants(of)
        new = [pid for pid in left if pid not in stopped]
        if not new or time.monotonic() > until:
            tell(left, signal.SIGKILL)
            return left
        tell(new, signal.SIGSTOP)
        stopped.update(new)


def end_all(of: int, *, patience_seconds: float = 5) -> list[int]:
    """Kill until none is left; the pids that outlived even that."""
    until = time.monotonic() + patience_seconds
    left = kill(of, until=until)
    while left and time.monotonic() < until:
        bury()
        time.sleep(0.005)
        left = kill(of, until=until)
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
        most = allowed + 5 if name == "CPU" else allowed  # it is told before it is killed
        resource.setrlimit(kind, (allowed, most if hard == resource.RLIM_INFINITY else min(most, hard)))
