"""Celery's door: what a message may ask for. The database decides what becomes of it."""

from uuid import UUID

from celery import shared_task
from django.db import close_old_connections

from orchestration import planning
from orchestration.engine import dispatch, nodes, reconcile, work
from orchestration.logs import keeping


@shared_task(name=dispatch.TASK)
def wake(v: int, id: str) -> None:  # noqa: A002 - the message's own field names
    """A step may be ready."""
    nodes.heard()
    if v == dispatch.VERSION:  # another release's message: that release, or the sweep, will see to it
        close_old_connections()
        work.work(UUID(id), node=nodes.this())


@shared_task(name=dispatch.SETTLE)
def settle(v: int, id: str) -> None:  # noqa: A002 - the message's own field names
    """A plan may have found what it was to find."""
    nodes.heard()
    if v == dispatch.VERSION:
        close_old_connections()
        planning.settle(UUID(id))


@shared_task(name="orchestration.reconcile")
def sweep() -> None:
    """Beat's way to the reconciler; every worker also sweeps on its own."""
    nodes.heard()
    close_old_connections()
    reconcile.reconcile()
    planning.sweep()


@shared_task(name="orchestration.keep_logs")
def keep_logs() -> None:
    """Logs that have ended go to their storage, and those whose time is over go."""
    close_old_connections()
    keeping.keep()
