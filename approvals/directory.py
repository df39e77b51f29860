"""Whether it is known who is in a team: a directory that keeps it must have told lately.

Teams kept here are always known. It must never guess: what was told too long ago closes the gate.
"""

from collections.abc import Iterable
from datetime import timedelta

from django.conf import settings
from django.db.models.functions import Now

from accounts.models import Team
from approvals.closed import GateClosed
from approvals.models import Stage


class MembershipUnknown(GateClosed):
    """A team's directory has not told for too long who is in it."""

    code = "membership_unknown"


def check_fresh(stages: Iterable[Stage]) -> None:
    """MembershipUnknown when a team that these stages ask was synced too long ago, by the database's clock."""
    asked = {team for stage in stages for team in (*stage.team_ids, *stage.escalate_ids)}
    limit = Now() - timedelta(hours=settings.DIRECTORY_FRESH_HOURS)
    stale = Team.objects.filter(pk__in=asked, synced_at__lt=limit).order_by("synced_at").first()
    if stale is not None and stale.synced_at is not None:
        raise MembershipUnknown(
            f"Who is in {stale.name} was last told by its directory on {stale.synced_at:%d %B %Y %H:%M} UTC, so"
            " nothing that it approved starts until the directory has told again."
        )
