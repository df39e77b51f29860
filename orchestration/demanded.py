"""Who could agree to a stage that policy demands of a draft: nothing is stored yet. Reads only, decides nothing."""

from collections.abc import Mapping
from typing import Any

from accounts import permissions
from approvals import eligibility
from approvals.models import Stage
from approvals.seats import Seat
from orchestration.draft import Draft


def people(demand: Mapping[str, Any], draft: Draft) -> list[dict[str, Any]]:
    """Who could agree to a stage that is only demanded so far, one row a person."""
    once = {seat.person: seat for seat in reversed(places(demand, draft))}
    return [
        {"id": str(one.user), "name": one.name} for one in sorted(once.values(), key=lambda one: one.name)
    ]


def places(demand: Mapping[str, Any], draft: Draft) -> list[Seat]:
    """The places from which somebody eligible, granted and in no conflict could agree, people's own first."""
    teams, users = eligibility.pin(demand["teams"], demand.get("users", []), rule=demand["why"]["rule"])
    stage = Stage(team_ids=list(teams.values()), user_ids=users)
    about = (draft.version.workflow, draft.service, draft.environment)
    granted = [set(permissions.people_who_may("sign_off", one).values_list("pk", flat=True)) for one in about]
    return [
        one
        for one in eligibility.places(stage, conflicted=draft.conflicted)
        if one.user in set.intersection(*granted)
    ]
