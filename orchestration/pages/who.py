"""Who can decide the stages of one chain, in words: who is away, who stands in for whom, who is in conflict and why.

It shows what approvals/eligibility.py judged; it must never judge itself.
"""

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from approvals import chain as chains
from approvals import eligibility
from approvals.models import Chain, SignOff, Stage
from approvals.seats import Seat

Places = Mapping[UUID, list[Seat]]
SHOWN = 3  # names of a stage


def places(chain: Chain, stages: Collection[Stage]) -> Places:
    """Stage -> the places from which it may be decided now, people's own first."""
    return {stage.pk: eligibility.places(stage, conflicted=chain.conflicted) for stage in stages}


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


def as_role(stage: Stage, seat: Seat) -> str:
    """As what one decides: the stage, and in whose place."""
    return f"{stage.name} for {seat.owner_name}" if seat.delegation else stage.name


def _name(one: Seat, away: Collection[UUID], me: Any) -> str:
    name = "you" if one.user == me.pk else one.name
    if one.delegation:
        return f"{name} for {one.owner_name}"
    return f"{name} (away)" if one.person in away else name
