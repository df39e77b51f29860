"""What a worker process does beside its messages: look for work itself, and reconcile.

It makes the broker a matter of speed only. It must never run beside another step of this process.
"""

import logging
import random
import threading
from collections.abc import Callable
from uuid import UUID

import psycopg
from django.conf import settings
from django.db import Error, close_old_connections, connection
from django.db.models.functions import Now

from orchestration.engine import enrolled
from orchestration.engine.nodes import Node
from orchestration.engine.reconcile import TURNS, reconcile
from orchestration.engine.supervise import sweep_secrets
from orchestration.engine.work import work
from orchestration.models import Run, Step, Worker

log = logging.getLogger(__name__)


def start(node: Node, *, also: Callable[[], object]) -> None:
    """Begin to look for work, in a thread that lives as long as the process; `also` is what higher floors heal."""
    threading.Thread(target=_live, args=(node, also), name="poll", daemon=True).start()


def poll(node: Node) -> None:
    """Reconcile, then take whatever is ready, one step after the other, while this process is idle."""
    close_old_connections()
    sweep_secrets()  # of a worker that was still dying when this one began
    reconcile()
    tried: set[UUID] = set()  # a step that could not be claimed is not asked for twice in a row
    while node.is_idle and node.may_claim:
        step_id = _oldest_ready(node.worker, but=tried)
        if step_id is None:
            return
        tried.add(step_id)
        work(step_id, node=node)


def _live(node: Node, also: Callable[[], object]) -> None:
    while True:
        node.wait(settings.POLL_SECONDS * random.uniform(0.7, 1.3))  # noqa: S311 - spreads the load
        try:
            poll(node)
            also()
        except (Error, psycopg.Error) as error:  # the database is away: the next round finds it back
            log.warning("no poll: %s", error)
            connection.close()


def _oldest_ready(worker: Worker | None, *, but: set[UUID]) -> UUID | None:
    open_runs = [Run.State.READY, Run.State.RUNNING]
    ready = Step.objects.filter(
        state=Step.State.READY, not_before__lte=Now(), run__state__in=open_runs, run__paused_at=None
    )
    mine = enrolled.fitting(ready, worker)
    return mine.exclude(pk__in=but).order_by(*TURNS).values_list("pk", flat=True).first()
