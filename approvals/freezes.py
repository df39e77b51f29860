"""Freezes: when changes may not start. Judged by database time at every start; a freeze is lifted, never deleted."""

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Now

from accounts.acting import Acting
from approvals.clock import database_time
from approvals.models import Freeze
from audit.ledger.record import record, timestamp
from audit.refusals import Invalid, NotAllowed, NotFound, StaleVersion

EVERYWHERE = "*"
ACTIVE = """
SELECT clock.now, f.name, f.ends_at FROM (SELECT clock_timestamp() AS now) AS clock
LEFT JOIN approvals_freeze f ON f.lifted_at IS NULL AND f.starts_at <= clock.now AND f.ends_at > clock.now
    AND f.environments && ARRAY[%s, %s]::varchar[]
ORDER BY f.ends_at DESC
"""


class Held(NamedTuple):
    """A freeze that holds now."""

    name: str
    ends_at: datetime


def active(environment: str) -> tuple[datetime, list[Held]]:
    """The database's time, and the freezes that hold in this environment at that moment: one query, one clock."""
    with connection.cursor() as cursor:
        cursor.execute(ACTIVE, [environment, EVERYWHERE])
        rows = cursor.fetchall()
    return rows[0][0], [Held(name, ends_at) for _, name, ends_at in rows if name is not None]


def current() -> QuerySet[Freeze]:
    """Freezes that hold now or will, soonest first."""
    return _standing().filter(ends_at__gt=Now()).order_by("starts_at", "pk")


@transaction.atomic
def create(
    *,
    name: str,
    reason: str,
    environments: list[str],
    starts_at: datetime,
    ends_at: datetime,
    known: Collection[str],
    by: Acting,
) -> Freeze:
    """Forbid starts in these environments for a time. `known` are all there are: a misspelt one is refused."""
    _check_admin(by)
    _check(environments, starts_at, ends_at, {EVERYWHERE, *known})
    freeze = Freeze.objects.create(
        name=name, reason=reason, environments=sorted(set(environments)), starts_at=starts_at, ends_at=ends_at
    )
    _record("freeze.created", freeze, by=by, reason=reason)
    return freeze


@transaction.atomic
def lift(freeze_id: UUID, *, reason: str, by: Acting) -> Freeze:
    """End a freeze before its time; why is kept."""
    _check_admin(by)
    if not reason.strip():
        raise Invalid(
            "The freeze was not lifted: write why.", errors=[{"pointer": "/reason", "detail": "Write why."}]
        )
    freeze = Freeze.objects.filter(pk=freeze_id).first()
    if freeze is None:
        raise NotFound("There is no such freeze.")
    seen = Freeze.objects.filter(pk=freeze_id, lifted_at=None, version=freeze.version)
    if not seen.update(lifted_at=database_time(), version=F("version") + 1):
        raise StaleVersion(f"{freeze.name} was lifted already; nothing was done.")
    freeze.refresh_from_db()
    _record("freeze.lifted", freeze, by=by, reason=reason.strip())
    return freeze


def _standing() -> QuerySet[Freeze]:
    return Freeze.objects.filter(lifted_at=None)


def _check_admin(by: Acting) -> None:
    if not by.user.is_superuser:
        raise NotAllowed("Only an admin makes or lifts a freeze; nothing was done. Ask one.")


def _check(environments: list[str], starts_at: datetime, ends_at: datetime, known: Collection[str]) -> None:
    faults = [
        {"pointer": f"/environments/{at}", "detail": f"There is no environment {slug!r}."}
        for at, slug in enumerate(environments)
        if slug not in known
    ]
    if not environments:
        faults.append({"pointer": "/environments", "detail": "Name at least one environment, or * for all."})
    if starts_at.tzinfo is None or ends_at.tzinfo is None:
        faults.append({"pointer": "/starts_at", "detail": "Give both times with their offset from UTC."})
    elif ends_at <= starts_at:
        faults.append({"pointer": "/ends_at", "detail": "A freeze ends after it starts."})
    if faults:
        raise Invalid(f"The freeze was not made. {faults[0]['detail']}", errors=faults)


def _record(kind: str, freeze: Freeze, *, by: Acting, reason: str) -> None:
    record(
        kind, of=freeze, subject=freeze.name, actor=by.actor, freeze=str(freeze.pk), reason=reason,
        environments=list(freeze.environments), starts_at=timestamp(freeze.starts_at),
        ends_at=timestamp(freeze.ends_at),
    )  # fmt: skip
