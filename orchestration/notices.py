"""What waits for a person besides deciding: obligations that they owe or may close. Reads only, decides nothing."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from accounts.models import User
from approvals.models import Obligation
from orchestration import access
from orchestration.models import Change

WORDS = {
    "obligation": ("an obligation is open", "#obligations"),
    "expired": ("it expired before it could start; request it again if it is still needed", ""),
}
TOLD = timedelta(days=3)  # how long an expiry is news
LIMIT = 50  # of each kind; more than that is a search


@dataclass(frozen=True)
class Notice:
    """One thing, on one change."""

    kind: str
    change: Change
    text: str
    who: str  # by name; empty for the policy
    at: datetime

    @property
    def words(self) -> str:
        """What it is, in few words."""
        return WORDS[self.kind][0].format(who=self.who)

    @property
    def anchor(self) -> str:
        """Where on the page of the change it stands."""
        return WORDS[self.kind][1]


def of(user: User) -> list[Notice]:
    """All of them, the oldest first."""
    return sorted([*_obligations(user), *_expired(user)], key=lambda one: one.at)


def _obligations(user: User) -> list[Notice]:
    """Those of one's own changes, and those that one set oneself."""
    owed = Obligation.objects.owed().filter(Q(chain__in=_chains(user)) | Q(sign_off__person=user.person_id))
    rows = list(owed.select_related("sign_off__user")[:LIMIT])
    about = _changes(user, {row.chain_id for row in rows})
    return [
        Notice("obligation", about[row.chain_id], row.text, row.set_by, row.opened_at)
        for row in rows
        if row.chain_id in about
    ]


def _expired(user: User) -> list[Notice]:
    lately = Change.objects.filter(requester=user, state=Change.State.EXPIRED, updated_at__gt=Now() - TOLD)
    return [
        Notice("expired", one, one.title, "", one.updated_at) for one in lately.order_by("number")[:LIMIT]
    ]


def _chains(user: User) -> QuerySet[Change, UUID]:
    """The chains of what this person asked for."""
    return Change.objects.filter(requester=user).values_list("revision__chain", flat=True)


def _changes(user: User, chains: Collection[UUID]) -> dict[UUID, Change]:
    """The changes of these chains that this person may see."""
    found = access.visible_changes(user).filter(revision__chain__in=chains).select_related("revision")
    return {change.revision.chain_id: change for change in found if change.revision is not None}
