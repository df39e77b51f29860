"""Exceptions to a freeze: one revision of one change may start through one freeze, for a while.

Granted by a governed act alone, ended early by an admin alone. The gate asks here at every start of a step. It must
never let anything through that is not named by its digest, nor without an end.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Now

from accounts.acting import Acting
from approvals.clock import database_time
from approvals.models import Freeze, FreezeException
from audit.ledger.entry import Actor
from audit.ledger.personal import Erasable
from audit.ledger.record import record, timestamp
from audit.refusals import Invalid, NotAllowed, NotFound, Refusal

LONGEST = timedelta(days=7)


class ExceptionEnded(Refusal):
    """The exception to a freeze is over already."""

    code = "freeze_exception_ended"


def standing() -> QuerySet[FreezeException]:
    """Those in force, by the database's clock."""
    return FreezeException.objects.filter(ended_at=None, ends_at__gt=Now()).select_related("freeze")


def through(subject: str, freezes: Collection[UUID]) -> dict[UUID, UUID]:
    """Of these freezes, those through which exactly this content may start now, each with its exception."""
    found = standing().filter(subject=subject, freeze__in=list(freezes))
    return dict(found.order_by("ends_at").values_list("freeze_id", "pk"))


def end_fault(until: datetime) -> str:
    """Why an exception cannot last until then; empty when it can."""
    now = database_time()
    if until <= now:
        return "It lies in the past."
    return f"An exception to a freeze lasts at most {LONGEST.days} days." if until > now + LONGEST else ""


@transaction.atomic
def grant(
    freeze: Freeze, *, subject: str, named: str, until: datetime, reason: str, by: Actor
) -> FreezeException:
    """The writer of the governed act `freeze.except`."""
    if problem := end_fault(until):
        raise Invalid(f"Nothing was let through. {problem}")
    made = FreezeException(
        freeze=freeze, subject=subject, named=named, reason=reason.strip(), granted_by=by.id,
        starts_at=database_time(), ends_at=until,
    )  # fmt: skip
    made.save(force_insert=True)
    _record("freeze.excepted", made, by=by)
    return made


@transaction.atomic
def end(exception_id: UUID, *, by: Acting) -> FreezeException:
    """Take it back before its end, which protects more: an admin alone."""
    if by.auth != "session" or not by.user.is_superuser:
        raise NotAllowed("Only an admin in a browser ends an exception to a freeze; nothing was done.")
    found = FreezeException.objects.select_related("freeze").filter(pk=exception_id).first()
    if found is None:
        raise NotFound("There is no such exception to a freeze.")
    seen = standing().filter(pk=found.pk, version=found.version)
    if not seen.update(ended_at=database_time(), version=F("version") + 1):
        raise ExceptionEnded("This exception is over already; nothing was done.")
    found.refresh_from_db()
    _record("freeze.exception_ended", found, by=by.actor)
    return found


def _record(kind: str, row: FreezeException, *, by: Actor) -> None:
    record(
        kind, of=row, subject=row.subject, actor=by, exception=str(row.pk), freeze=str(row.freeze_id),
        name=row.freeze.name, named=row.named, digest=row.subject, ends_at=timestamp(row.ends_at),
        reason=Erasable(row.reason),
    )  # fmt: skip
