"""Celery's door: look whether policy has moved in Git. Losing a call costs a minute, never a decision."""

from celery import shared_task
from django.db import close_old_connections

from approvals.policy import commits
from audit.ledger.entry import system


@shared_task(name="approvals.sync_policy")
def sync_policy() -> None:
    """Nothing where no repository is set."""
    close_old_connections()
    if commits.place() is not None:
        commits.sync(by=system("system:policy-sync"))
