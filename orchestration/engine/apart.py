"""Whether this worker's steps run as users of their own. Decided once for a process, from its settings and its rights.

Left to itself it is as safe as the machine allows, and says so in the log. Asked for by a setting it is never less.
"""

import logging
import os
import stat
import sys
from functools import cache
from pathlib import Path

from django.conf import settings

USUAL = (61_184, 61_439)  # systemd keeps these for users that exist only while something runs
log = logging.getLogger(__name__)


@cache
def uids() -> tuple[int, int] | None:
    """First and last number; None where a step runs as the worker's own user."""
    asked: tuple[int, int] | str = settings.STEP_UIDS
    if asked == "worker":
        return None
    if isinstance(asked, tuple):
        return asked
    if os.geteuid() != 0:
        return None
    if not all(map(_all_may_read, (Path(sys.executable), Path(os.__file__), Path(__file__)))):
        log.warning(
            "Steps run as root, as the worker does: Python or Countersign lies where other users cannot read. Install"
            " it where all can, /opt for one; or set COUNTERSIGN_STEP_UIDS."
        )
        return None
    return USUAL


def problem() -> str:
    """Why no step may start in this worker; empty when nothing stands against it."""
    if isinstance(settings.STEP_UIDS, tuple) and os.geteuid() != 0:
        return "COUNTERSIGN_STEP_UIDS needs a worker that is root; this one is not, so nothing was started."
    return ""


def _all_may_read(file: Path) -> bool:
    """Whether any user may walk down to the file and read it."""
    walkable = all(folder.stat().st_mode & stat.S_IXOTH for folder in file.resolve().parents)
    return walkable and bool(file.stat().st_mode & stat.S_IROTH)
