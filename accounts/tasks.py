"""Celery's door: throw away what has no meaning any more. Losing a call costs some rows or a minute, nothing else."""

from datetime import UTC, datetime

from celery import shared_task
from django.db import close_old_connections

from accounts import engagements, once, rates, sessions


@shared_task(name="accounts.forget")
def forget() -> None:
    """Yesterday's idempotency keys, closed windows of limits, sessions that are over."""
    close_old_connections()
    now = datetime.now(UTC)
    for room in (once, rates, sessions):
        room.forget(at=now)


@shared_task(name="accounts.settle_engagements")
def settle_engagements() -> None:
    """Accounts whose time is over are switched off; they open nothing before that either."""
    close_old_connections()
    engagements.settle()
