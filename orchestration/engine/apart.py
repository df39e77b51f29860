"""Whether this worker's steps run as users of their own, and in a box. Decided once for a process, from its settings.

It must never be less than a setting asked for. It does not guess: a step that may write to other places on one machine
than on the next would be a surprise at the worst time, so a worker that is root says in its log what it lacks.
"""

import logging
import os
from functools import cache

from django.conf import settings

from orchestration.engine import boxed

log = logging.getLogger(__name__)


@cache
def uids() -> tuple[int, int] | None:
    """First and last number; None where a step runs as the worker's own user."""
    asked: tuple[int, int] | None = settings.STEP_UIDS
    if asked is None and os.geteuid() == 0:
        log.warning("Steps run as root, as the worker does: name users for them in COUNTERSIGN_STEP_UIDS.")
    return asked


def problem() -> str:
    """Why no step may start in this worker; empty when nothing stands against it."""
    if settings.STEP_UIDS is not None and os.geteuid() != 0:
        return "COUNTERSIGN_STEP_UIDS needs a worker that is root; this one is not, so nothing was started."
    return boxed.problem()
