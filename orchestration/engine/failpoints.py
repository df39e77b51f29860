"""Places where a test may break the engine: named, and quiet unless a test asks for one.

A failpoint can only stop a process or a thread; it can never skip a check or change a value.
"""

import os
import signal
from collections.abc import Callable
from pathlib import Path

# A folder. A file in it named as a place, or as a place and a pid, ends one process there as a lost machine would.
VARIABLE = "COUNTERSIGN_FAILPOINT"
_actions: dict[str, Callable[[], None]] = {}


def failpoint(name: str) -> None:
    """Do what a test asked for at this place, else nothing."""
    if name in _actions:
        _actions[name]()
    if folder := os.environ.get(VARIABLE):
        _end_once(Path(folder), name)


def at(name: str, action: Callable[[], None] | None) -> None:
    """Let a test of this process act at a place; None ends it."""
    if action is None:
        _actions.pop(name, None)
    else:
        _actions[name] = action


def _end_once(folder: Path, name: str) -> None:
    """Whoever takes the file away dies; the next one passes."""
    for asked in (f"{name}.{os.getpid()}", name):
        try:
            (folder / asked).unlink()
        except OSError:
            continue
        os.kill(os.getpid(), signal.SIGKILL)
