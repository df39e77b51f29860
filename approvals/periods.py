"""What freezes and windows share: what they concern, the guarded write, and its entry. Neither is ever deleted.

It must never decide whether an edit weakens protection: that is another question for each of the two.
"""

from typing import Any, NamedTuple, TypeVar

from django.db import transaction
from django.db.models import F, Q, QuerySet

from accounts.acting import Acting
from approvals.clock import database_time
from approvals.models import Freeze, Period
from approvals.plans import CONTROL_ROOM, EVERYWHERE, Plan
from audit.ledger.entry import Actor
from audit.ledger.personal import Erasable
from audit.ledger.record import record, timestamp
from audit.refusals import NotAllowed, NotFound, StaleVersion

P = TypeVar("P", bound=Period)


class Place(NamedTuple):
    """Where a start would land, by slugs."""

    environment: str
    service: str = ""
    workflow: str = ""


def standing(kind: type[P]) -> QuerySet[P]:
    """Those that were not lifted."""
    return kind._default_manager.filter(lifted_at=None)


def by_key(kind: type[P], key: str) -> P:
    """The standing one that people call this: `Year end #9c3f21`. NotFound when it was renamed or lifted."""
    name, _, end = key.rpartition(" #")
    found = [one for one in standing(kind).filter(name=name) if one.key == key and end]
    if len(found) != 1:
        raise NotFound(f"There is no {kind.__name__.lower()} {key!r} now.")
    return found[0]


def about(place: Place) -> Q:
    """Which rows concern this place."""
    everywhere = Q(environments__contains=[EVERYWHERE]) if place.environment != CONTROL_ROOM else Q(pk__in=[])
    return (
        (Q(environments__contains=[place.environment]) | everywhere)
        & (Q(services=[]) | Q(services__contains=[place.service]))
        & (Q(workflows=[]) | Q(workflows__contains=[place.workflow]))
    )


def concerns(one: Period | Plan, place: Place) -> bool:
    """The same question of one row, or of a plan."""
    everywhere = EVERYWHERE in one.environments and place.environment != CONTROL_ROOM
    return (
        (everywhere or place.environment in one.environments)
        and (not one.services or place.service in one.services)
        and (not one.workflows or place.workflow in one.workflows)
    )


def require_admin(by: Acting, what: str) -> None:
    if not by.user.is_superuser:
        raise NotAllowed(f"Only an admin makes, edits or lifts a {what}; nothing was done. Ask one.")


def create(kind: type[P], plan: Plan, *, by: Actor) -> P:
    """The row and its entry."""
    with transaction.atomic():
        made = kind._default_manager.create(**plan.columns, reason=plan.reason.strip())
        _tell(made, "created", by=by, reason=made.reason)
    return made


def edit(row: P, plan: Plan, *, by: Actor) -> P:
    """It says something else from now on; nothing happens when it says so already."""
    if says(row, plan):
        return row
    with transaction.atomic():
        _write(row, **plan.columns)
        _tell(row, "edited", by=by, reason=plan.reason.strip())
    return row


def lift(row: P, *, reason: str, by: Actor) -> P:
    """It holds no more, from now on; nothing happens when it was lifted."""
    if row.lifted_at is not None:
        return row
    with transaction.atomic():
        _write(row, lifted_at=database_time())
        _tell(row, "lifted", by=by, reason=reason.strip())
    return row


def says(row: Period, plan: Plan) -> bool:
    """Whether the row says all this already."""
    return all(getattr(row, name) == value for name, value in plan.columns.items())


def is_wider(one: Period | Plan, other: Period | Plan) -> bool:
    """Whether whatever the other concerns, this one concerns too."""
    return (EVERYWHERE in one.environments or set(one.environments) >= set(other.environments)) and all(
        not mine or (bool(theirs) and set(mine) >= set(theirs))
        for mine, theirs in ((one.services, other.services), (one.workflows, other.workflows))
    )


def meets(one: Period | Plan, other: Period | Plan) -> bool:
    """Whether there may be a change that both concern."""
    everywhere = EVERYWHERE in one.environments or EVERYWHERE in other.environments
    return (everywhere or bool(set(one.environments) & set(other.environments))) and all(
        not mine or not theirs or bool(set(mine) & set(theirs))
        for mine, theirs in ((one.services, other.services), (one.workflows, other.workflows))
    )


def _write(row: Period, **columns: Any) -> None:
    """The guarded UPDATE: exactly the row that was read, and not one that was lifted."""
    seen = type(row)._default_manager.filter(pk=row.pk, version=row.version, lifted_at=None)
    if not seen.update(**columns, version=F("version") + 1):
        raise StaleVersion(f"{row.name} was changed meanwhile; nothing was done. Reload it.")
    row.refresh_from_db()


def _tell(row: Period, verb: str, *, by: Actor, reason: str) -> None:
    told: dict[str, Any] = {
        "reason": Erasable(reason),
        "environments": list(row.environments),
        "services": list(row.services),
        "workflows": list(row.workflows),
        "starts_at": timestamp(row.starts_at),
        "ends_at": timestamp(row.ends_at),
        "words": row.words,
    }
    kind = "freeze" if isinstance(row, Freeze) else "window"
    record(f"{kind}.{verb}", of=row, subject=row.name, actor=by, **{kind: str(row.pk)}, **told)
