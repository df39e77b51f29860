"""Who can decide the stages of one chain, in words: who is away, who stands in for whom, who is in conflict and why.

It shows what approvals/eligibility.py judged; it must never judge itself.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any
from uuid import UUID

from accounts.models import Delegation, Person, User
from approvals import chain as chains
from approvals import eligibility
from approvals.models import Chain, Recusal, SignOff, Stage
from approvals.seats import Seat
from orchestration.models import Change, Revision

Places = Mapping[UUID, list[Seat]]
SHOWN = 3  # names of a stage


def places(chain: Chain, stages: Collection[Stage]) -> Places:
    """Stage -> the places from which it may be decided now, people's own first."""
    return {stage.pk: eligibility.places(stage, conflicted=chain.barred) for stage in stages}


def seats(ranks: list[chains.Progress], found: Places, given: list[SignOff], me: Any) -> dict[UUID, Seat]:
    """Open stage -> the place from which this person would decide it: the first that counts for nobody so far."""
    stages = [one.stage for one in ranks]
    mine: dict[UUID, Seat] = {}
    for stage in (one.stage for one in ranks if one.open):
        places = [one for one in found[stage.pk] if one.user == me.pk]
        if seat := chains.free(places, stage.pk, stages=stages, given=given):
            mine[stage.pk] = seat
    return mine


def sentence(found: list[Seat], given: list[SignOff], me: Any) -> str:
    """`Can decide: you, Ines Duarte for Noor Haddad, Sam (away) and 2 others`."""
    decided = frozenset[UUID]().union(*(chains.persons(one) for one in given))
    left = [one for one in found if not one.persons & decided]
    away = {one.owner for one in left if one.delegation}
    names = list(dict.fromkeys(_name(one, away, me) for one in left))
    names.sort(key=lambda name: not name.startswith("you"))
    shown = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} others" if len(names) > SHOWN else "")
    return f"Can decide: {shown}" if names else "Nobody can decide this now"


def conflicts(change: Change, revision: Revision) -> list[tuple[str, str]]:
    """Who never counts on this change, and why: name and reason, the requester first."""
    found: dict[UUID, tuple[str, str]] = {}
    for user, why in _authors(change, revision):
        found.setdefault(user.person_id, (user.person.name, why))
    for said in Recusal.objects.filter(chain__in=change.revisions.values("chain")).select_related("person"):
        found.setdefault(said.person_id, (said.person.name, f"has a conflict of interest: {said.reason}"))
    pinned = revision.chain.barred
    for one in Person.objects.filter(pk__in=set(pinned) - set(found)):
        found[one.pk] = (one.name, "wrote a part of it")
    held = Delegation.objects.holding().filter(delegator__person__in=pinned)
    for lent in held.select_related("delegator", "delegate__person"):
        found.setdefault(
            lent.delegate.person_id, (lent.delegate.name, f"stands in for {lent.delegator.name}")
        )
    return list(found.values())


def _authors(change: Change, revision: Revision) -> Iterator[tuple[User, str]]:
    service = change.requester.kind == User.Kind.SERVICE
    yield change.requester, f"answers for {change.requester.name}" if service else "requested it"
    for one in change.revisions.select_related("author__person").order_by("number"):
        yield one.author, "edited it"
    version = revision.workflow_version
    people = User.objects.select_related("person").in_bulk([*version.authors, *version.writers()])
    for pk, person in people.items():
        yield person, f"wrote {'this version' if pk in version.authors else 'a part'} of the workflow"


def as_role(stage: Stage, seat: Seat) -> str:
    """As what one decides: the stage, and in whose place."""
    return f"{stage.name} for {seat.owner_name}" if seat.delegation else stage.name


def _name(one: Seat, away: Collection[UUID], me: Any) -> str:
    name = "you" if one.user == me.pk else one.name
    if one.delegation:
        return f"{name} for {one.owner_name}"
    return f"{name} (away)" if one.person in away else name
