"""How much a step's tree uses, measured from outside: tasks and memory. Ends nothing; says in words what is too much.

The kernel's own limits count per process or per user, and not at all for root; a tree has to be counted by somebody.
Measuring takes no more than a twentieth of a processor, however many processes there are.
"""

import os
import time

from orchestration.engine.supervisor import tree

EVERY_SECONDS = 0.1  # a look at the whole machine, for next to nothing
COUNTED_SECONDS = 1.0  # the tree itself, or at once when the machine shows that something grows
SHARE = 20  # a count that took t seconds is followed by 20 t without one
STIR = 8  # an eighth of a limit, more on the machine than at the last count
PAGE = os.sysconf("SC_PAGE_SIZE")
MIB = 1 << 20


class Bounds:
    """The limits of one tree, and when to look again."""

    def __init__(self, limits: dict[str, int]) -> None:
        self.tasks, self.memory = limits["processes"], limits["memory"]
        self.ended_for_memory = _number("/proc/vmstat", b"oom_kill ")
        self.next_at = self.count_at = time.monotonic() + EVERY_SECONDS
        self.quiet = _machine()

    def look(self, of: int, leader: int) -> str:
        """What is exceeded, in a sentence; empty while nothing is, or when it is not time to look."""
        began = time.monotonic()
        if began < self.next_at:
            return ""
        self.next_at = began + EVERY_SECONDS
        if began < self.count_at and not self._stirred(leader):
            return ""
        tree.come_first()
        said = self._judge(tree.measured(of))
        tree.come_first(bool(said))
        self.quiet = _machine()
        took = time.monotonic() - began
        self.next_at += took * SHARE
        self.count_at = began + max(COUNTED_SECONDS, took * SHARE)
        return said

    def _stirred(self, leader: int) -> bool:
        """Whether the step's first process is halfway to the limit, or something grew on this machine."""
        if 2 * PAGE * _pages(leader) > self.memory:
            return True
        tasks, free = _machine()
        return tasks - self.quiet[0] > self.tasks // STIR or self.quiet[1] - free > self.memory // STIR

    def _judge(self, found: dict[int, tuple[int, int]]) -> str:
        tasks = sum(count for count, _ in found.values())
        if tasks > self.tasks:
            return f"It ran {tasks} processes and threads; its limit is {self.tasks}, so it was ended."
        if sum(pages for _, pages in found.values()) * PAGE > self.memory:
            used = sum(map(_own_bytes, found))  # what several share is counted once
            if used > self.memory:
                said = f"It used {used // MIB} MiB of memory; its limit is {self.memory // MIB} MiB"
                return f"{said}, so it was ended."
        return ""

    def why_killed(self) -> str:
        """Of a step that somebody else killed: whether the machine was short of memory."""
        if _number("/proc/vmstat", b"oom_kill ") > self.ended_for_memory:
            return "The machine ran out of memory and its kernel ended processes, this step's among them it seems."
        return ""


def _own_bytes(pid: int) -> int:
    """The proportional share of a process: what it shares with n others counts one n-th."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:  # noqa: PTH123
            for line in file:
                if line.startswith(b"Pss:"):
                    return int(line.split()[1]) << 10
    except OSError:
        pass  # it has ended
    return 0


def _pages(pid: int) -> int:
    """Resident pages of one process."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:  # noqa: PTH123
            return int(file.read().split()[1])
    except (OSError, IndexError):
        return 0


def _machine() -> tuple[int, int]:
    """Tasks of the whole machine, and its free memory in bytes."""
    try:
        with open("/proc/loadavg", "rb") as file:  # noqa: PTH123
            tasks = int(file.read().split()[3].partition(b"/")[2])
    except OSError:
        tasks = 0
    return tasks, _number("/proc/meminfo", b"MemAvailable:") << 10


def _number(path: str, name: bytes) -> int:
    """The number behind a name, in a file of the kernel's that has one a line."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            return next((int(line.split()[1]) for line in file if line.startswith(name)), 0)
    except OSError:
        return 0
