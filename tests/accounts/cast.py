"""People for these tests, made as the product makes them: every governed row has its entry."""

from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from django.db import transaction

from accounts import teams, tokens
from accounts.acting import Acting
from accounts.models import Team, User
from audit.ledger.entry import system
from audit.ledger.record import record
from audit.models import Coupled, Entry

Row = TypeVar("Row", bound=Coupled)
TEST = system("system:test")
PASSWORD = "correct-horse-battery"
NOW = datetime.now(UTC)


def person(name: str, *members_of: str, superuser: bool = False) -> User:
    """Mara, Noor, ... with a password and open memberships."""
    user = teams.create_person(
        username=name.lower(), name=name, by=TEST, password=PASSWORD, superuser=superuser
    )
    for slug in members_of:
        teams.join(team(slug), user, by=TEST)
    return user


def team(slug: str) -> Team:
    return Team.objects.filter(slug=slug).first() or teams.create_team(slug=slug, name=slug.title(), by=TEST)


def governed(row: Row) -> Row:
    """A governed row of another floor, with its entry."""
    with transaction.atomic():
        row.save(force_insert=True)
        record(f"{row._meta.model_name}.created", of=row, subject="test", actor=TEST)
    return row


def issue(user: User, *scopes: str, by: Acting | None = None, days: float = 30) -> tokens.Issued:
    return tokens.create(
        user=user,
        name="test",
        scopes=list(scopes),
        expires_at=NOW + timedelta(days=days),
        by=by or Acting(user, "session"),
        at=NOW,
    )


def bearer(issued: tokens.Issued) -> dict[str, Any]:
    """Headers for the test client."""
    return {"headers": {"Authorization": f"Bearer {issued.value}"}}


def kinds() -> list[str]:
    """The kinds of all entries, in order."""
    return list(Entry.objects.order_by("id").values_list("kind", flat=True))
