"""Which stages ask somebody now: for the inbox, where one query answers for every change.

The chain has the last word when somebody decides (approvals/eligibility.py); this is the same question put to many
chains at once, and it must never say more than a hint.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from django.db.models import DurationField, Exists, ExpressionWrapper, F, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from accounts.models import Delegation, Membership, User
from approvals.models import SignOff, Stage
from approvals.models.chain import StageQuerySet


@dataclass(frozen=True)
class Place:
    """Somebody's place in their teams, and the people for whom a decision from it counts."""

    memberships: list[tuple[UUID, timedelta]]  # team, age
    persons: frozenset[UUID]
    named: list[UUID] = field(default_factory=list)  # the account, where the place covers being named

    def asked(self) -> Q:
        """The stages that ask for it."""
        asked = Q(user_ids__overlap=self.named) if self.named else Q(pk__in=[])
        for team, age in self.memberships:
            late = Q(due_at__lte=Now(), escalate_ids__contains=[team])
            old_enough = Q(member_for__lte=int(age.total_seconds()))
            asked |= (Q(team_ids__contains=[team]) | late) & old_enough
        return asked & Q(~Exists(_elsewhere(self.persons)))


def seats_of(user: User) -> tuple[StageQuerySet, set[UUID]]:
    """The open stages that ask this account, and the people in whose conflicts it is."""
    held = list(Delegation.objects.holding().filter(delegate=user).select_related("delegator"))
    lent = [one for one in held if one.delegator.is_active]
    asked = Q(pk__in=[])
    for place in [_own(user), *(_lent(one, user) for one in lent)]:
        asked |= place.asked()
    conflicts = {user.person_id, *(one.delegator.person_id for one in held)}
    return Stage.objects.filter(asked).opened().unfinished(), conflicts


def _own(user: User) -> Place:
    return Place(_memberships(user), frozenset({user.person_id}), [user.pk])


def _lent(one: Delegation, user: User) -> Place:
    persons = frozenset({user.person_id, one.delegator.person_id})
    memberships = _memberships(one.delegator)
    if one.team_ids:
        return Place([(team, age) for team, age in memberships if team in one.team_ids], persons)
    return Place(memberships, persons, [one.delegator_id])


def _memberships(user: User) -> list[tuple[UUID, timedelta]]:
    age = ExpressionWrapper(Now() - F("since"), output_field=DurationField())
    opened = Membership.objects.filter(user=user, ended_at=None).annotate(age=age)
    return list(opened.values_list("team_id", "age"))


def _elsewhere(persons: frozenset[UUID]) -> QuerySet[SignOff]:
    """What is said for one of these people and keeps the place from the stage: on it, or on one that is to be
    somebody else's."""
    said = SignOff.objects.filter(
        Q(person__in=persons) | Q(owner__in=persons), chain=OuterRef("chain"), withdrawn_at=None
    )
    both_repeatable = Q(stage__distinct=Stage.Distinct.STAGE) & Q(
        Exists(Stage.objects.filter(pk=OuterRef(OuterRef("pk")), distinct=Stage.Distinct.STAGE))
    )
    return said.filter(Q(stage=OuterRef("pk")) | ~both_repeatable)
