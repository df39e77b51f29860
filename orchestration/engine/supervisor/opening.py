"""The supervisor's side of a step's secrets: one child that opens them, a directory that is gone when the step is.

Standard library only. It must never start a step whose secrets are not all there.
"""

import base64
import json
import os
import select
from typing import Any

from orchestration.engine.supervisor import tree
from orchestration.engine.supervisor.redact import Redactor

LOOKED_AT_BYTES = 32 << 20  # more than a plan step may leave


class Opener:
    """The child, and what it answers on its one pipe."""

    def __init__(self, argv: list[str], env: dict[str, str]) -> None:
        self.pipe, theirs = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            _become(argv, env, theirs)
        os.close(theirs)
        self._answer = bytearray()
        self.ended = False

    def read(self) -> None:
        data = os.read(self.pipe, 1 << 16)
        self._answer += data
        self.ended = not data

    def close(self) -> None:
        """Bury it; an opener that is still at work is ended."""
        os.close(self.pipe)
        if not self.ended:
            tree.tell([self.pid], 9)
        os.waitpid(self.pid, 0)

    @property
    def answer(self) -> dict[str, Any]:
        """What it said; a child that died without a word is no answer."""
        try:
            found: dict[str, Any] = json.loads(self._answer)
        except ValueError:
            return {"problem": "The opener of the secrets died; the step was not started.", "again": True}
        return found


def redactor_of(answer: dict[str, Any]) -> Redactor:
    """What masks the values that were opened; nobody else of this user may look into this process from now on."""
    tree.be_private()
    return Redactor([base64.b64decode(one) for one in answer["values"]])


def wait(opener: Opener, worker: int, seconds: float) -> tuple[bool, bool]:
    """Whether the opener, and whether the worker, has something to say."""
    ready = select.select([opener.pipe, *([worker] if worker >= 0 else [])], [], [], seconds)[0]
    return opener.pipe in ready, worker in ready


def remove(directory: str) -> None:
    """Take the values away, with whatever the step put beside them."""
    for folder, folders, files in os.walk(directory, topdown=False):
        for name in files:
            os.unlink(os.path.join(folder, name))  # noqa: PTH108, PTH118 - pathlib costs memory in every supervisor
        for name in folders:
            path = os.path.join(folder, name)  # noqa: PTH118
            (os.unlink if os.path.islink(path) else os.rmdir)(path)  # noqa: PTH114
    if os.path.isdir(directory):  # noqa: PTH112
        os.rmdir(directory)  # noqa: PTH106


def _become(argv: list[str], env: dict[str, str], out: int) -> None:
    """In the child: nothing of it reaches a log, not even how it fails."""
    try:
        os.setsid()
        tree.die_with_parent()
        os.umask(0o077)
        tree.limit({"CORE": 0})
        nothing = os.open("/dev/null", os.O_RDWR)
        for handle, place in ((nothing, 0), (out, 1), (nothing, 2)):
            os.dup2(handle, place)
        os.closerange(3, 4096)
        os.execve(argv[0], argv, env)  # noqa: S606 - no shell is the point
    finally:
        os._exit(127)


def leaks(folder: str, redactor: Redactor) -> bool:
    """Whether a file that the step left for reviewers holds a secret, in its bytes or its name; no link is followed."""
    if not folder or not redactor.patterns:
        return False
    for name in os.listdir(folder) if os.path.isdir(folder) else []:  # noqa: PTH112, PTH208 - light on purpose
        if redactor.text(name) != name or _holds(os.path.join(folder, name), redactor):  # noqa: PTH118
            return True
    return False


def _holds(path: str, redactor: Redactor) -> bool:
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            data = file.read(LOOKED_AT_BYTES)
    except OSError:
        return False  # no plain file: it is not taken either
    return redactor.mask(data) != data
