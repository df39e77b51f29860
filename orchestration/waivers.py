"""The register of exceptions: granted by a governed act, ended early by their owner, over at their end in any case.

It must never be read by policy or by the gate: an exception explains a finding, it opens nothing.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID

from django.db import models, transaction
from django.db.models import F, Q, QuerySet

from accounts import permissions
from accounts.acting import Acting
from accounts.models import User
from approvals.clock import database_time
from approvals.models import Bundle
from audit.access import may_read
from audit.controls.catalogue import controls
from audit.ledger.entry import Actor
from audit.ledger.personal import Erasable
from audit.ledger.record import record, timestamp
from audit.refusals import Invalid, NotAllowed, NotFound, Refusal
from orchestration.models import Environment, Service, Waiver

SCOPES: Mapping[str, type[models.Model]] = {"service": Service, "environment": Environment, "person": User}
NAMED = {"service": "slug", "environment": "slug", "person": "username"}
COLUMN = {"service": "service", "environment": "environment", "person": "account"}
LONGEST_DAYS = 365
SOON = timedelta(days=14)  # from then on the owner is reminded
REASON_MAX = 2000


class WaiverEnded(Refusal):
    """The exception is over already."""

    code = "waiver_ended"


def faults(*, rule: str, kind: str, name: str, owner: str, until: str) -> dict[str, str]:
    """Why it cannot be granted, by argument; empty when it can."""
    found: dict[str, str] = {}
    if rule not in controls() and rule not in _rules():
        found["rule"] = "There is no control test and no rule of the active policy of this name."
    if _row(kind, name) is None:
        found["name"] = f"There is no {kind} of this name."
    if not User.objects.filter(username=owner, is_active=True, kind=User.Kind.PERSON).exists():
        found["owner"] = "There is no such active person."
    if problem := _until_fault(until):
        found["until"] = problem
    return found


def find(*, rule: str, kind: str, name: str, owner: str, until: str, reason: str) -> Waiver | None:
    """Exactly this exception, if it stands."""
    row, end = _row(kind, name), _end_of(until)
    if row is None or end is None:
        return None
    about = {
        COLUMN[kind]: row,
        "rule": rule,
        "owner__username": owner,
        "ends_at": end,
        "reason": reason.strip(),
    }
    return Waiver.objects.standing().filter(**about).first()


@transaction.atomic
def grant(*, rule: str, kind: str, name: str, owner: str, until: str, reason: str, by: Actor) -> Waiver:
    """The writer of the governed act `exception.grant`. `until` is the last day, whole, in UTC."""
    problems = faults(rule=rule, kind=kind, name=name, owner=owner, until=until)
    end = _end_of(until)
    if problems or end is None:
        raise Invalid(f"The exception was not granted. {next(iter(problems.values()))}")
    _check_reason(reason)
    waiver = Waiver(
        rule=rule, reason=reason.strip(), owner=User.objects.get(username=owner), granted_by=by.id,
        starts_at=database_time(), ends_at=end, **{COLUMN[kind]: _row(kind, name)},
    )  # fmt: skip
    waiver.save(force_insert=True)
    _record("exception.granted", waiver, by=by, reason=waiver.reason)
    return waiver


@transaction.atomic
def end(waiver_id: UUID, *, reason: str, by: Acting) -> Waiver:
    """Take it back before its end: what deviates is a finding again."""
    waiver = visible(by.user).filter(pk=waiver_id).first()
    if waiver is None:
        raise NotFound("There is no such exception, or it is not yours to see.")
    if by.auth != "session" or not (by.user.is_superuser or waiver.owner_id == by.user.pk):
        raise NotAllowed(
            f"{waiver.owner.name}, who owns it, or an admin ends this exception, in a browser. Nothing was done."
        )
    _check_reason(reason)
    seen = Waiver.objects.standing().filter(pk=waiver.pk, version=waiver.version)
    if not seen.update(ended_at=database_time(), ended_reason=reason.strip(), version=F("version") + 1):
        raise WaiverEnded("This exception is over already; nothing was done.")
    waiver.refresh_from_db()
    _record("exception.ended", waiver, by=by.actor, reason=waiver.ended_reason)
    return waiver


def visible(user: Any) -> QuerySet[Waiver]:
    """For whoever reads the log, all; else one's own, those about oneself, and those of what one may see."""
    found = Waiver.objects.select_related("service", "environment", "account", "owner")
    if not isinstance(user, User) or not user.is_active:
        return found.none()
    if may_read(user):
        return found
    return found.filter(
        Q(owner=user)
        | Q(account=user)
        | Q(service__in=permissions.visible(user, Service.objects.all()))
        | Q(environment__in=permissions.visible(user, Environment.objects.all()))
    )


def standing(user: Any) -> QuerySet[Waiver]:
    """Of these, the ones in force; the one that ends soonest first."""
    return visible(user).filter(pk__in=Waiver.objects.standing().values("pk"))


def ending(user: User) -> int:
    """How many of this person's own end soon."""
    return Waiver.objects.ending_within(SOON).filter(owner=user).count()


def _rules() -> set[str]:
    active = Bundle.objects.filter(active=True).first()
    return {rule["id"] for rule in active.rules} if active else set()


def _row(kind: str, name: str) -> models.Model | None:
    found = SCOPES[kind]._default_manager.filter(**{NAMED[kind]: name})
    row: models.Model | None = found.first()
    return row


def _end_of(until: str) -> datetime | None:
    """The end of the last day."""
    try:
        day = datetime.strptime(until, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        return None
    return datetime.combine(day + timedelta(days=1), time(), tzinfo=UTC)


def _until_fault(until: str) -> str:
    end_at, now = _end_of(until), database_time()
    if end_at is None:
        return "Give its last day as 2026-12-31."
    if end_at <= now:
        return "Its last day has passed."
    if end_at.date() > (now + timedelta(days=LONGEST_DAYS + 1)).date():
        return f"An exception lasts at most {LONGEST_DAYS} days."
    return ""


def _check_reason(reason: str) -> None:
    if not reason.strip() or len(reason) > REASON_MAX:
        detail = f"Say why, in at most {REASON_MAX} characters."
        raise Invalid(f"Nothing was done. {detail}", errors=[{"pointer": "/reason", "detail": detail}])


def _record(kind: str, waiver: Waiver, *, by: Actor, reason: str) -> None:
    about = waiver.service_id or waiver.environment_id or waiver.account_id
    record(
        kind, of=waiver, subject=waiver.rule, actor=by, exception=str(waiver.pk), rule=waiver.rule,
        scope=waiver.scope.split()[0], scope_name=_named(waiver), scope_id=str(about),
        owner=str(waiver.owner_id), ends_at=timestamp(waiver.ends_at), reason=Erasable(reason),
    )  # fmt: skip


def _named(waiver: Waiver) -> str:
    """What control tests compare: a slug, or the person's id, for a name never enters an entry."""
    if waiver.account is not None:
        return str(waiver.account.person_id)
    return waiver.scope.split()[1]
