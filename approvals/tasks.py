"""Celery's doors: look at policy in Git, judge again, try the gate's stop. Losing a call costs minutes, no decision."""

from uuid import UUID

from celery import shared_task
from django.db import close_old_connections

from approvals import probe, replays, shadows
from approvals.policy import commits
from audit.ledger.entry import system


@shared_task(name="approvals.sync_policy")
def sync_policy() -> None:
    """Nothing where no repository is set."""
    close_old_connections()
    if commits.place() is not None:
        commits.sync(by=system("system:policy-sync"))


@shared_task(name=replays.TASK)
def replay(id: str) -> None:  # noqa: A002 - the message's own field name
    """One turn of one replay."""
    close_old_connections()
    replays.work(UUID(id))


@shared_task(name="approvals.sweep_replays")
def sweep_replays() -> None:
    """Beat's way to what waits: a lost call, a killed worker, the shadow's new decisions."""
    close_old_connections()
    shadows.settle()
    for key in replays.sweep():
        replays.call(key)


@shared_task(name="approvals.probe")
def probe_the_stop() -> None:
    """Once a day, whoever asks."""
    close_old_connections()
    probe.daily()
