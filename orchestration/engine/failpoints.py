"""Places where a test may break the engine: named, and quiet unless a test asks for one.

A failpoint can only stop a process or a thread; it can never skip a check or change a value.
"""

import os
import signal
from collections.abc import Callable

VARIABLE = "COUNTERSIGN_FAILPOINT"  # `name`: this process kills itself there, as a lost machine would
_actions: dict[str, Callable[[], None]] = {}


def failpoint(name: str) -> None:
    """Do what a test asked for at this place, else nothing."""
    if name in _actions:
        _actions[name]()
    if os.environ.get(VARIABLE) == name:
        os.kill(os.getpid(), signal.SIGKILL)


def at(name: str, action: Callable[[], None] | None) -> None:
    """Let a test of this process act at a place; None ends it."""
    if action is None:
        _actions.pop(name, None)
    else:
        _actions[name] = action
