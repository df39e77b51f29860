"""A user of its own for each running step, where the worker is root: whatever it leaves is found by its number.

A step then reads neither the worker's keys, environment and sockets nor anything of another step, the kernel counts
its processes apart, and one signal ends all of them, also those that nobody can follow. A number is held by a socket
of the abstract namespace, so that it is free again however its holder dies.
"""

import os
import signal
import socket
import stat

from orchestration.engine.supervisor import tree

LEFT_IN = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - where anybody may write


class NoUser(Exception):
    """Every number of the range is taken."""


class User:
    """The number, held as long as this object lives."""

    def __init__(self, first: int, last: int) -> None:
        self.uid, self._held = _take(first, last)

    def own(self, place: str) -> None:
        """Give the step what lies below `place`; the folder itself stays ours, so that nothing in it is replaced."""
        for folder, folders, files in os.walk(place):
            for name in (*folders, *files):
                os.lchown(os.path.join(folder, name), self.uid, self.uid)  # noqa: PTH118
        os.chown(place, -1, self.uid)
        os.chmod(place, 0o710)  # noqa: PTH101, S103 - its group is the step alone

    def become(self) -> None:
        """For the process that is about to be the step's. There is no way back."""
        os.setgroups([])
        os.setresgid(self.uid, self.uid, self.uid)
        os.setresuid(self.uid, self.uid, self.uid)

    def end_all(self, *, clean: bool = False) -> None:
        """Kill every process of this user at once, new ones too; take away what it left where anybody may write."""
        pid = os.fork()
        if pid == 0:
            try:
                self.become()
                tree.tell([-1], signal.SIGKILL)  # all that it may signal, but itself
                if clean:
                    _clean(self.uid)
            finally:
                os._exit(0)
        os.waitpid(pid, 0)


def _take(first: int, last: int) -> tuple[int, socket.socket]:
    count = last - first + 1
    start = int.from_bytes(os.urandom(4), "big")  # seldom the one that was used last
    for step in range(count):
        uid = first + (start + step) % count
        held = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            held.bind(f"\0countersign-step-user-{uid}")
        except OSError:
            held.close()
            continue
        return uid, held
    raise NoUser(f"All {count} users for steps are taken; allow more by COUNTERSIGN_STEP_UIDS.")


def _clean(uid: int) -> None:
    """As the user itself, so that a link leads to nothing that is not its own."""
    for top in LEFT_IN:
        try:
            names = os.listdir(top)  # noqa: PTH208
        except OSError:
            continue
        for name in names:
            _remove(os.path.join(top, name), uid)  # noqa: PTH118


def _remove(path: str, uid: int) -> None:
    try:
        found = os.lstat(path)
        if found.st_uid != uid:
            return None
        if not stat.S_ISDIR(found.st_mode):
            return os.unlink(path)  # noqa: PTH108
        for folder, folders, files in os.walk(path, topdown=False):
            for name in files:
                os.unlink(os.path.join(folder, name))  # noqa: PTH108, PTH118
            for name in folders:
                inner = os.path.join(folder, name)  # noqa: PTH118
                (os.unlink if os.path.islink(inner) else os.rmdir)(inner)  # noqa: PTH114
        os.rmdir(path)  # noqa: PTH106
    except OSError:
        return None
