"""The places of a stage: who sits on one now, and who stands in for whom, by the database's clock.

A place belongs to a member of a team that is asked, or to an account that policy names. `share=True` locks every row
it was read from, so that nobody leaves between the gate's look and its permit. It must never judge who may decide.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

# `m` is a membership, `s` whose place it is, `d` what lends it, `u` who stands in.
OWN = "s.id, s.person_id, s.name, {team}, {since}, NULL::uuid, s.id, s.person_id, s.name"
LENT = "u.id, u.person_id, u.name, {team}, {since}, d.id, s.id, s.person_id, s.name"
OF_MEMBERS = {"team": "m.team_id", "since": "m.since"}
OF_NAMED = {"team": "NULL::uuid", "since": "NULL::timestamptz"}
MEMBERS = "FROM accounts_membership m JOIN accounts_user s ON s.id = m.user_id"
NAMED = "FROM accounts_user s"
STANDING_IN = """
JOIN accounts_delegation d ON d.delegator_id = s.id AND d.ended_at IS NULL
 AND d.starts_at <= clock_timestamp() AND d.ends_at > clock_timestamp()
JOIN accounts_user u ON u.id = d.delegate_id AND u.is_active AND u.kind = 'person' AND u.person_id <> s.person_id
"""
ASKED = "WHERE m.team_id = ANY(%(teams)s) AND m.ended_at IS NULL AND s.is_active AND s.kind = 'person'"
BY_NAME = "WHERE s.id = ANY(%(users)s) AND s.is_active AND s.kind = 'person'"
ONLY = "AND (%(only)s::uuid[] IS NULL OR {who}.id = ANY(%(only)s))"
FOR_TEAM = "AND (d.team_ids = '{}' OR m.team_id = ANY(d.team_ids))"
FOR_ALL = "AND d.team_ids = '{}'"
# question, and the rows that are locked with it: own places, then lent ones, because a union cannot be locked
TEAM_QUESTIONS = [
    (f"SELECT {OWN.format(**OF_MEMBERS)} {MEMBERS} {ASKED} {ONLY.format(who='s')}", "m, s"),
    (
        f"SELECT {LENT.format(**OF_MEMBERS)} {MEMBERS} {STANDING_IN} {ASKED} {ONLY.format(who='u')} {FOR_TEAM}",
        "m, s, d, u",
    ),
]
NAME_QUESTIONS = [
    (f"SELECT {OWN.format(**OF_NAMED)} {NAMED} {BY_NAME} {ONLY.format(who='s')}", "s"),
    (
        f"SELECT {LENT.format(**OF_NAMED)} {NAMED} {STANDING_IN} {BY_NAME} {ONLY.format(who='u')} {FOR_ALL}",
        "s, d, u",
    ),
]


@dataclass(frozen=True)
class Seat:
    """A place and one account that may decide from it: whoever it belongs to, or who stands in for them."""

    user: UUID
    person: UUID
    name: str
    team: UUID | None  # None: named by the policy
    since: datetime | None  # of the membership behind it
    delegation: UUID | None  # None: their own place
    owner_user: UUID
    owner: UUID  # the person whose place it is
    owner_name: str

    @property
    def persons(self) -> frozenset[UUID]:
        """For whom a decision from here counts: none of them can decide once more."""
        return frozenset({self.person, self.owner})


def found(
    teams: Iterable[UUID],
    users: Iterable[UUID],
    *,
    only: Collection[UUID] | None = None,
    own: bool = False,
    share: bool = False,
) -> list[Seat]:
    """The places of these teams and names; `only` those from which one of these accounts would decide.

    `own` leaves out who stands in: a question less, where nobody is known to.
    """
    given = {"teams": list(teams), "users": list(users), "only": None if only is None else list(only)}
    questions = (TEAM_QUESTIONS if given["teams"] else []) + (NAME_QUESTIONS if given["users"] else [])
    asked = questions[::2] if own else questions
    return [seat for sql, rows in asked for seat in _ask(sql, rows if share else "", given)]


def _ask(sql: str, held: str, given: dict[str, Any]) -> list[Seat]:
    """Raw SQL because the ORM has no FOR SHARE."""
    with connection.cursor() as cursor:
        cursor.execute(f"{sql} FOR SHARE OF {held}" if held else sql, given)
        return [Seat(*row) for row in cursor.fetchall()]
