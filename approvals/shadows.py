"""The shadow: one candidate that a worker asks of each new decision, after it was made, beside the policy that judges.

It must never stand in the way of a decision nor have a say in one: what it answers is a row to look at.
"""

from typing import Any

from django.db import transaction
from django.db.models import F

from accounts.acting import Acting
from accounts.models import User
from approvals import replays
from approvals.clock import database_time
from approvals.models import Bundle, Replay, Shadow
from approvals.policy.bundles import Candidate, one_at_a_time
from audit.ledger.entry import Actor, system
from audit.ledger.record import record
from audit.refusals import MoveNotAllowed, NotAllowed

POLICY = system("system:policy")


def standing() -> Shadow | None:
    """The one there is."""
    return Shadow.objects.filter(stands=True).select_related("replay__user").first()


def set_one(candidate: Candidate, *, by: Acting) -> Shadow:
    """From now on, each new decision is asked of this candidate as well."""
    _require_admin(by.user)
    now = database_time()
    with transaction.atomic():
        one_at_a_time()
        if standing() is not None:
            raise MoveNotAllowed("There is a shadow already, so none was set. End that one first.")
        if Bundle.objects.filter(active=True, digest=candidate.digest).exists():
            raise MoveNotAllowed("This candidate judges now; there is nothing for it to shadow.")
        followed = Replay.objects.create(
            **replays.told_of(candidate), user=by.user, days=0, since=now, seen_at=now
        )
        made = Shadow.objects.create(replay=followed, digest=candidate.digest)
        record(
            "shadow.set", of=made, subject=made.digest, actor=by.actor, bundle=made.digest, name=followed.name
        )
    return made


def end(*, by: Acting) -> None:
    """No longer; what it said stays."""
    _require_admin(by.user)
    found = standing()
    if found is None or not _end(found, by=by.actor, because="a person ended it"):
        raise MoveNotAllowed("There is no shadow; nothing was ended.")


def settle() -> None:
    """A shadow that has become the policy, or whose candidate gave up, is one no longer."""
    found = standing()
    if found is None:
        return
    if Bundle.objects.filter(active=True, digest=found.digest).exists():
        _end(found, by=POLICY, because="it became active")
    elif not found.replay.under_way:
        _end(found, by=POLICY, because="it could not be asked any more")


def _end(found: Shadow, *, by: Actor, because: str) -> bool:
    with transaction.atomic():
        seen = Shadow.objects.filter(pk=found.pk, version=found.version, stands=True)
        if not seen.update(stands=False, version=F("version") + 1):
            return False
        found.refresh_from_db()
        record("shadow.ended", of=found, subject=found.digest, actor=by, bundle=found.digest, because=because)
        replays.end(found.replay, Replay.State.DONE)
    return True


def _require_admin(user: User | Any) -> None:
    if not user.is_superuser:
        raise NotAllowed("Only an admin sets or ends the shadow; nothing was done.")
