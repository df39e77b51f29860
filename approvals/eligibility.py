"""Who may decide a stage now: active people in one of its teams for long enough, or named by it, or who stands in for
one of them; and never a person in conflict, nor whoever stands in for such a person.

Judged by accounts, memberships and delegations as they are at this moment. It must never ask about permissions on
objects: the door above does.
"""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection

from accounts.models import Team, User
from approvals import seats
from approvals.clock import database_time
from approvals.models import SignOff, Stage
from approvals.policy.engine import PolicyRefused
from approvals.seats import Seat

# Asked several times with each sign-off, hence plain; a delegation holds as `Delegation.objects.holding()` says.
_DEPUTIES = """
    SELECT deputy.person_id FROM accounts_delegation AS held
      JOIN accounts_user AS lender ON lender.id = held.delegator_id
      JOIN accounts_user AS deputy ON deputy.id = held.delegate_id
     WHERE held.ended_at IS NULL AND held.starts_at <= statement_timestamp() AND held.ends_at > statement_timestamp()
       AND lender.person_id = ANY(%s)
"""


def people(stage: Stage, *, conflicted: Collection[UUID]) -> list[Seat]:
    """Who may decide this stage now, one row a person, by name; in their own place where they have one."""
    rows = sorted(
        _open(stage, conflicted), key=lambda row: (row.delegation is None, row.name, row.owner_name)
    )
    once = {row.person: row for row in rows}
    return sorted(once.values(), key=lambda row: row.name)


def votes(rows: Iterable[Seat]) -> int:
    """How many sign-offs could come from these places: whoever stands in adds none."""
    every = list(rows)
    return min(len({row.owner for row in every}), len({row.person for row in every}))


def places(
    stage: Stage,
    *,
    conflicted: Collection[UUID],
    only: Collection[UUID] | None = None,
    until: datetime | None = None,
) -> list[Seat]:
    """The places from which this stage may be decided now (by one of these accounts), people's own first.

    With `until` also those whose membership will be old enough by then.
    """
    rows = _open(stage, conflicted, only=only, until=until)
    return sorted(rows, key=lambda row: (row.delegation is not None, row.owner_name))


def may_decide(stage: Stage, user: User, *, conflicted: Collection[UUID]) -> bool:
    """Whether this account may decide this stage now, from whatever place."""
    return bool(places(stage, conflicted=conflicted, only=[user.pk]))


def from_when(stage: Stage, user: User, *, conflicted: Collection[UUID]) -> datetime | None:
    """From when somebody who is too new in their team may decide; None when waiting would not help."""
    rows = _unconflicted(_asked(stage, database_time(), only=[user.pk]), conflicted)
    begins = [row.since + timedelta(seconds=stage.member_for) for row in rows if row.since is not None]
    return min(begins, default=None)


def in_conflict(conflicted: Collection[UUID]) -> frozenset[UUID]:
    """These people, and whoever stands in for one of them now: nobody is judged by their own deputy."""
    with connection.cursor() as cursor:
        cursor.execute(_DEPUTIES, [list(conflicted)])
        return frozenset({*conflicted, *(row[0] for row in cursor.fetchall())})


def standing(
    stages: Iterable[Stage], sign_offs: Collection[SignOff], *, conflicted: Collection[UUID], share: bool
) -> list[SignOff]:
    """The sign-offs that count now: each approval only while its giver may still decide its stage.

    A reject or a send-back stands whoever leaves: a veto does not lapse with a membership.
    """
    by_id = {stage.pk: stage for stage in stages}
    teams = {team for stage in by_id.values() for team in (*stage.team_ids, *stage.escalate_ids)}
    users = {user for stage in by_id.values() for user in stage.user_ids}
    approvals = [one for one in sign_offs if one.approves]
    givers = sorted({one.user_id for one in approvals})
    own = all(one.delegation_id is None for one in approvals)
    rows = seats.found(teams, users, only=givers, own=own, share=share) if givers else []
    rows = _unconflicted(rows, conflicted)
    return [one for one in sign_offs if not one.approves or _still(one, by_id.get(one.stage_id), rows)]


def places_of(teams: Iterable[UUID], users: Iterable[UUID], *, without_accounts: Iterable[str]) -> list[Seat]:
    """The places of these teams and names, without the people behind the given accounts."""
    conflicted = User.objects.filter(pk__in=list(without_accounts)).values_list("person_id", flat=True)
    return _unconflicted(seats.found(teams, users), set(conflicted))


def pin(teams: Collection[str], users: Collection[str], *, rule: str) -> tuple[dict[str, UUID], list[UUID]]:
    """Team slugs and accounts by id; PolicyRefused where the policy names one that does not exist."""
    known = dict(Team.objects.filter(slug__in=teams).values_list("slug", "pk"))
    found = set(User.objects.filter(pk__in=users).values_list("pk", flat=True)) if users else set()
    missing = [f"team {slug}" for slug in teams if slug not in known]
    missing += [f"account {user}" for user in users if UUID(user) not in found]
    if missing:
        raise PolicyRefused(
            f"Rule {rule} asks {' and '.join(missing)}, which does not exist. The change cannot proceed until the"
            " policy is mended or the team is made."
        )
    return {slug: known[slug] for slug in teams}, sorted(found)


def _open(
    stage: Stage,
    conflicted: Collection[UUID],
    *,
    only: Collection[UUID] | None = None,
    until: datetime | None = None,
) -> list[Seat]:
    """Every place in this stage that may be taken now, and by whom."""
    now = database_time()
    found = _asked(stage, now, only=only)
    return _unconflicted([row for row in found if _long_enough(stage, row, at=until or now)], conflicted)


def _asked(stage: Stage, now: datetime, *, only: Collection[UUID] | None) -> list[Seat]:
    return seats.found(stage.teams_asked(now), stage.user_ids, only=only)


def _unconflicted(rows: list[Seat], conflicted: Collection[UUID]) -> list[Seat]:
    never = in_conflict(conflicted) if rows else frozenset()
    return [row for row in rows if not row.persons & never]


def _still(sign_off: SignOff, stage: Stage | None, rows: Iterable[Seat]) -> bool:
    """Whether one of these places is the very one from which it was given."""
    return stage is not None and any(
        row.user == sign_off.user_id
        and row.person == sign_off.person_id
        and row.delegation == sign_off.delegation_id
        and row.owner == (sign_off.owner_id or sign_off.person_id)
        and _asks(stage, row, at=sign_off.given_at)
        and _long_enough(stage, row, at=sign_off.given_at)
        for row in rows
    )


def _asks(stage: Stage, row: Seat, *, at: datetime) -> bool:
    return row.owner_user in stage.user_ids if row.team is None else row.team in stage.teams_asked(at)


def _long_enough(stage: Stage, row: Seat, *, at: datetime) -> bool:
    """A membership that policy finds too young decides nothing; whom policy names needs none."""
    young = timedelta(seconds=stage.member_for)
    return not young or row.since is None or at - row.since >= young
