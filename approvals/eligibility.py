"""Who may decide a stage now: active people in one of its teams, or named by it, and never a conflicted person.

Judged by accounts and memberships as they are at this moment; `share=True` locks those rows, so that nobody leaves
between the gate's look and its permit. It must never ask about permissions on objects: the door above does.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from accounts.models import Team, User
from approvals.clock import database_time
from approvals.models import SignOff, Stage
from approvals.policy.engine import PolicyRefused

MEMBERS = """
SELECT u.id, u.person_id, u.name, m.team_id FROM accounts_membership m JOIN accounts_user u ON u.id = m.user_id
WHERE m.team_id = ANY(%(teams)s) AND (%(only)s::uuid[] IS NULL OR u.id = ANY(%(only)s))
  AND m.ended_at IS NULL AND u.is_active AND u.kind = 'person'
"""
NAMED = """
SELECT u.id, u.person_id, u.name, NULL::uuid FROM accounts_user u
WHERE u.id = ANY(%(users)s) AND (%(only)s::uuid[] IS NULL OR u.id = ANY(%(only)s))
  AND u.is_active AND u.kind = 'person'
"""


@dataclass(frozen=True)
class Eligible:
    """One account that may decide, and through which team (None: named by the policy)."""

    user: UUID
    person: UUID
    name: str
    team: UUID | None


def people(stage: Stage, *, conflicted: Collection[UUID]) -> list[Eligible]:
    """Who may decide this stage now, one row a person, by name."""
    rows = _rows(_teams_now(stage), stage.user_ids)
    once = {row.person: row for row in sorted(rows, key=lambda row: row.name) if row.person not in conflicted}
    return sorted(once.values(), key=lambda row: row.name)


def may_decide(stage: Stage, user: User, *, conflicted: Collection[UUID]) -> bool:
    """Whether this account may decide this stage now."""
    rows = _rows(_teams_now(stage), stage.user_ids, only=[user.pk])
    return any(row.person == user.person_id and row.person not in conflicted for row in rows)


def standing(stages: Iterable[Stage], sign_offs: Collection[SignOff], *, share: bool) -> list[SignOff]:
    """The sign-offs that count now: each approval only while its giver may still decide its stage.

    A reject or a send-back stands whoever leaves: a veto does not lapse with a membership.
    """
    by_id = {stage.pk: stage for stage in stages}
    teams = {team for stage in by_id.values() for team in (*stage.team_ids, *stage.escalate_ids)}
    users = {user for stage in by_id.values() for user in stage.user_ids}
    givers = sorted({one.user_id for one in sign_offs if one.approves})
    rows = _rows(teams, users, only=givers, share=share) if givers else []
    return [one for one in sign_offs if not one.approves or _still(one, by_id.get(one.stage_id), rows)]


def persons(teams: Iterable[UUID], users: Iterable[UUID], *, without_accounts: Iterable[str]) -> set[UUID]:
    """The people of these teams and names, without the people behind the given accounts."""
    conflicted = set(User.objects.filter(pk__in=list(without_accounts)).values_list("person_id", flat=True))
    return {row.person for row in _rows(teams, users)} - conflicted


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


def _still(sign_off: SignOff, stage: Stage | None, rows: Iterable[Eligible]) -> bool:
    return stage is not None and any(
        row.user == sign_off.user_id
        and row.person == sign_off.person_id
        and _asks(stage, row, at=sign_off.given_at)
        for row in rows
    )


def _asks(stage: Stage, row: Eligible, *, at: datetime) -> bool:
    return row.user in stage.user_ids if row.team is None else row.team in stage.teams_asked(at)


def _teams_now(stage: Stage) -> list[UUID]:
    return stage.teams_asked(database_time()) if stage.escalate_ids else list(stage.team_ids)


def _rows(
    teams: Iterable[UUID],
    users: Iterable[UUID],
    *,
    only: Collection[UUID] | None = None,
    share: bool = False,
) -> list[Eligible]:
    """Raw SQL because the ORM has no FOR SHARE; named accounts apart, because a union cannot be locked."""
    given = {"teams": list(teams), "users": list(users), "only": None if only is None else list(only)}
    rows = _ask(MEMBERS + (" FOR SHARE OF m, u" if share else ""), given)
    if given["users"]:
        rows += _ask(NAMED + (" FOR SHARE OF u" if share else ""), given)
    return rows


def _ask(sql: str, given: dict[str, Any]) -> list[Eligible]:
    with connection.cursor() as cursor:
        cursor.execute(sql, given)
        return [Eligible(*row) for row in cursor.fetchall()]
