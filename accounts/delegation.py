"""Who decides while somebody is away: the only writer of delegations.

Lends one person's place, for a time, to one other person. Nobody does it for somebody else, and what is lent is never
passed on: in the same time a person is either away or decides for others, never both.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from accounts.acting import Acting
from accounts.bearer import SessionOnly
from accounts.models import DELEGATION_BOX, Delegation, Person, Team, User
from audit.clock import database_time
from audit.ledger.entry import Actor
from audit.ledger.record import record, timestamp
from audit.refusals import Invalid, NotAllowed, Refusal, StaleVersion

MAX_REASON = 500  # characters


class DelegationOverlaps(Refusal):
    """Somebody else decides for these teams in that time."""

    code = "delegation_overlaps"


class DelegationPassedOn(Refusal):
    """One of the two is away, or decides for somebody else, in that time."""

    code = "delegation_passed_on"


class DelegationOver(Refusal):
    """There is nothing left to end."""

    code = "delegation_over"


@dataclass(frozen=True)
class Wanted:
    """What is asked for, resolved and in order."""

    delegator: User
    delegate: User
    team_ids: list[UUID]
    starts_at: datetime
    ends_at: datetime
    reason: str


def start(
    *,
    delegate: str,
    teams: Collection[str],
    starts_at: datetime | None,
    ends_at: datetime,
    reason: str = "",
    by: Acting,
) -> Delegation:
    """Let somebody decide in one's own place: for these teams, or for all when none is named."""
    _check_person(by)
    with transaction.atomic():
        now = database_time()
        wanted = Wanted(
            by.user, _delegate(delegate, by), _teams(teams, by), starts_at or now, ends_at, reason.strip()
        )
        _check_time(wanted, now)
        _check_reason(wanted.reason)
        _lock(wanted)
        _check_not_passed_on(wanted)
        _check_no_overlap(wanted)
        return _create(wanted, by=by.actor)


def end(delegation: Delegation, *, by: Acting) -> Delegation:
    """Either of the two ends it, at once: who was away is back, or the delegate would rather not."""
    _check_person(by)
    if by.user.pk not in {delegation.delegator_id, delegation.delegate_id}:
        raise NotAllowed("This is not your delegation; it was not ended.")
    with transaction.atomic():
        seen = Delegation.objects.standing().filter(pk=delegation.pk, version=delegation.version)
        if not seen.update(ended_at=Now(), version=F("version") + 1):
            _explain(delegation)
        delegation.refresh_from_db()
        _record("delegation.ended", delegation, by=by.actor)
    return delegation


def away() -> dict[UUID, Delegation]:
    """Account -> the delegation under which it is away now; the one that ends last."""
    held = Delegation.objects.holding().select_related("delegate").order_by("ends_at")
    return {one.delegator_id: one for one in held}


def of(user: User) -> QuerySet[Delegation]:
    """What this account has lent or holds, newest first."""
    mine = Delegation.objects.filter(Q(delegator=user) | Q(delegate=user))
    return mine.select_related("delegator", "delegate").order_by("-id")


def _check_person(by: Acting) -> None:
    if by.auth != "session" or by.user.kind != User.Kind.PERSON:
        raise SessionOnly("Nothing was changed. A person decides in a browser who stands in for them.")


def _delegate(username: str, by: Acting) -> User:
    """An active person who is somebody else."""
    found = User.objects.filter(username=username, kind=User.Kind.PERSON, is_active=True).first()
    if found is None:
        raise _wrong("/delegate", "Choose an active person.")
    if found.person_id == by.user.person_id:
        raise _wrong("/delegate", "Choose somebody else: nobody stands in for themselves.")
    return found


def _teams(slugs: Collection[str], by: Acting) -> list[UUID]:
    """One's own teams by id."""
    mine = dict(Team.objects.of(by.user).values_list("slug", "pk"))
    if foreign := sorted(set(slugs) - set(mine)):
        raise _wrong("/teams", f"You are not in {foreign[0][:50]}, so nobody can stand in for you there.")
    return sorted(mine[slug] for slug in set(slugs))


def _check_time(wanted: Wanted, now: datetime) -> None:
    if wanted.starts_at.tzinfo is None or wanted.ends_at.tzinfo is None:
        raise _wrong("/starts_at", "Give the times with their offset from UTC.")
    if wanted.ends_at <= max(wanted.starts_at, now):
        raise _wrong("/ends_at", "It must end after it begins, and not in the past.")
    if wanted.ends_at - wanted.starts_at > DELEGATION_BOX:
        raise _wrong("/ends_at", f"It lasts at most {DELEGATION_BOX.days} days.")
    if wanted.starts_at < now and (now - wanted.starts_at).total_seconds() > 60:
        raise _wrong("/starts_at", "It cannot begin in the past.")


def _check_reason(reason: str) -> None:
    if len(reason) > MAX_REASON or not reason.isprintable():
        raise _wrong("/reason", f"A reason is one line of at most {MAX_REASON} characters.")


def _wrong(pointer: str, detail: str) -> Invalid:
    return Invalid(f"Nobody stands in yet. {detail}", errors=[{"pointer": pointer, "detail": detail}])


def _lock(wanted: Wanted) -> None:
    """Both people, in one order: two delegations that touch the same person take turns."""
    both = [wanted.delegator.person_id, wanted.delegate.person_id]
    list(Person.objects.select_for_update(no_key=True).filter(pk__in=both).order_by("pk"))


def _meeting(wanted: Wanted) -> QuerySet[Delegation]:
    """Those that stand in the same time."""
    return Delegation.objects.standing().filter(starts_at__lt=wanted.ends_at, ends_at__gt=wanted.starts_at)


def _check_not_passed_on(wanted: Wanted) -> None:
    """Depth one and no cycle, because nobody is on both sides in the same time."""
    me, them = wanted.delegator, wanted.delegate
    mine = _meeting(wanted).filter(delegate__person=me.person_id).select_related("delegator").first()
    if mine is not None:
        raise DelegationPassedOn(
            f"You decide for {mine.delegator.name} in that time, which is never passed on. Nobody stands in yet:"
            " end that first, or choose other days."
        )
    theirs = _meeting(wanted).filter(delegator__person=them.person_id).first()
    if theirs is not None:
        raise DelegationPassedOn(
            f"{them.name} is away in that time. Nobody stands in yet: choose somebody else, or other days."
        )


def _check_no_overlap(wanted: Wanted) -> None:
    mine = _meeting(wanted).filter(delegator__person=wanted.delegator.person_id).select_related("delegate")
    for one in mine:
        if not one.team_ids or not wanted.team_ids or set(one.team_ids) & set(wanted.team_ids):
            raise DelegationOverlaps(
                f"{one.delegate.name} decides for you until {one.ends_at:%d %B %Y %H:%M} UTC. Nothing was added:"
                " end that first, or choose other teams or days."
            )


def _create(wanted: Wanted, *, by: Actor) -> Delegation:
    made = Delegation.objects.create(
        delegator=wanted.delegator,
        delegate=wanted.delegate,
        team_ids=wanted.team_ids,
        starts_at=wanted.starts_at,
        ends_at=wanted.ends_at,
        reason=wanted.reason,
    )
    _record("delegation.started", made, by=by)
    return made


def _explain(delegation: Delegation) -> None:
    if Delegation.objects.standing().filter(pk=delegation.pk).exists():
        raise StaleVersion("This delegation was changed meanwhile; nothing was done. Reload the page.")
    raise DelegationOver("This delegation is over already; nothing was changed.")


def _record(kind: str, delegation: Delegation, *, by: Actor) -> None:
    record(
        kind,
        of=delegation,
        subject=f"account:{delegation.delegator_id}",
        actor=by,
        delegator=str(delegation.delegator_id),
        delegate=str(delegation.delegate_id),
        teams=[str(team) for team in delegation.team_ids],
        starts_at=timestamp(delegation.starts_at),
        ends_at=timestamp(delegation.ends_at),
    )
