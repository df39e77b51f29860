"""One delivery after the other: claimed under a lease by the database's clock, and what became of it.

A destination is served by one worker at a time, in order. What was sent counts once it is written down, so a worker
that dies between the two sends again: at least once, under the same key. It must never hold a transaction while it
waits for somebody outside.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from approvals.clock import database_time
from audit.ledger.record import record
from orchestration.models import Destination
from orchestration.outgoing import batches, destinations
from orchestration.outgoing.batches import Batch
from orchestration.secrets import references

LEASE = timedelta(seconds=120)  # longer than one delivery may take, with all that belongs to it
FIRST_SECONDS, MOST_SECONDS = 5.0, 3600.0  # bounds of the pause, which doubles between them
LEAST_SECONDS = 1.0
TRIES, GIVE_UP = 12, timedelta(hours=24)  # both have to be over


@dataclass(frozen=True)
class Delivery:
    """A batch that is this worker's to send until its lease ends."""

    to: Destination
    batch: Batch
    lease: UUID
    at: datetime


def claim() -> Delivery | None:
    """The destination that waits longest, with its batch; None when nothing is due for anybody."""
    while (found := _next()) is not None:
        if found.batch.events:
            return found
    return None


@transaction.atomic
def _next() -> Delivery | None:
    """A destination that is due: its batch begun, or its position moved past what it did not ask for."""
    size, at = batches.sealed(), database_time()
    free = Q(lease=None) | Q(lease_until__lt=Now())
    due = Destination.objects.standing().filter(
        free, paused_at=None, next_try_at__lte=Now(), position__lt=size
    )
    to = due.order_by("next_try_at").select_for_update(no_key=True, skip_locked=True).first()
    if to is None:
        return None
    batch, lease = batches.following(to, size=size), uuid4()
    mine = Destination.objects.filter(pk=to.pk)
    if batch.events:
        mine.update(until=batch.until, lease=lease, lease_until=Now() + LEASE)
    else:
        mine.update(position=batch.until, until=None, lease=None, lease_until=None)
    return Delivery(to, batch, lease, at)


def lend(delivery: Delivery) -> dict[str, Any] | None:
    """What its secret is opened with; a version that was not used before is written down. Refusals of secrets."""
    to = delivery.to
    if to.secret is None:
        return None
    workflow, service, environment = destinations.place_of_secrets()
    version, given = references.lend(to.secret, workflow=workflow, service=service, environment=environment)
    if version.name != to.secret_version:
        with transaction.atomic():
            if _mine(delivery).update(secret_version=version.name):
                record(
                    "destination.secret_used", of=None, subject=to.subject, actor=destinations.SENDER,
                    destination=to.name, path=to.secret.path, provider=str(to.secret.provider), version=version.name,
                )  # fmt: skip
    return given


def settle(delivery: Delivery, answer: Mapping[str, Any]) -> bool:
    """Write down what became of it, if it is still ours. Whether it had arrived."""
    if answer["why"]:
        _failed(delivery, answer["why"], again=answer["again"], after=float(answer["after"]))
        return False
    return bool(
        _mine(delivery).update(
            position=delivery.batch.until,
            previous=delivery.batch.events[-1].index,
            until=None,
            attempts=0,
            failing_since=None,
            last_error="",
            delivered_at=Now(),
            next_try_at=Now(),  # behind the others that are due
            lease=None,
            lease_until=None,
        )
    )


@transaction.atomic
def _failed(delivery: Delivery, why: str, *, again: bool, after: float) -> None:
    """Try later, or give it up and let a person look."""
    row = _mine(delivery).select_for_update(no_key=True).first()
    if row is None:
        return
    attempts, wait = row.attempts + 1, max(pause(row.attempts + 1), min(after, MOST_SECONDS))
    since, now = row.failing_since, database_time()
    Destination.objects.filter(pk=row.pk).update(
        attempts=F("attempts") + 1,
        failing_since=since or now,
        last_error=why,
        next_try_at=Now() + timedelta(seconds=wait),
        lease=None,
        lease_until=None,
    )
    row.refresh_from_db()
    if not again or (attempts >= TRIES and since is not None and now - since > GIVE_UP):
        destinations.pause(row, why=why)


def pause(attempts: int) -> float:
    """Seconds until the next try: anything up to a bound that doubles, so that those who wait do not come together."""
    bound = min(MOST_SECONDS, FIRST_SECONDS * 2 ** min(attempts - 1, 20))
    return max(LEAST_SECONDS, random.uniform(0, bound))  # noqa: S311 - spreads the load


def _mine(delivery: Delivery) -> Any:
    """The row while the lease is this delivery's, and it was not ended or edited."""
    return Destination.objects.standing().filter(pk=delivery.to.pk, lease=delivery.lease)
