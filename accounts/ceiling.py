"""What the tokens of a machine may do at most. Widening takes others, narrowing takes one; a person has no ceiling.

Never called to widen but by the governed act: whoever answers for a machine could else give it what they like.
"""

from collections.abc import Iterable

from django.db import transaction
from django.db.models import F, QuerySet

from accounts import tokens
from accounts.acting import Acting
from accounts.models import User
from audit.ledger.entry import Actor
from audit.ledger.record import record
from audit.refusals import Invalid, NotAllowed, Refusal


class CeilingUnchanged(Refusal):
    """It is so already."""

    code = "ceiling_unchanged"


def narrowable_by(user: User) -> QuerySet[User]:
    """The machines whose ceiling this account may lower: all for an admin, else those it answers for."""
    machines = User.objects.filter(kind=User.Kind.SERVICE, is_active=True).select_related("person")
    return machines if user.is_superuser else machines.filter(person=user.person_id)


def widen(machine: User, scopes: Iterable[str], *, by: Actor) -> None:
    """From now on its tokens may have these too."""
    _set(machine, add=set(scopes), take=set(), by=by)


def narrow(machine: User, scopes: Iterable[str], *, by: Acting) -> None:
    """Take scopes away: no token of it opens anything with them any more, from its next request on."""
    if not by.user.is_superuser and not tokens.answers_for(by.user, machine):
        raise NotAllowed(f"{machine.name} is not an account you answer for; nothing was taken away.")
    _set(machine, add=set(), take=set(scopes), by=by.actor)


def _set(machine: User, *, add: set[str], take: set[str], by: Actor) -> None:
    if unknown := sorted((add | take) - set(tokens.SCOPES)):
        words = f"Unknown: {', '.join(unknown)}."
        raise Invalid(f"Nothing was changed. {words}", errors=[{"pointer": "/scopes", "detail": words}])
    with transaction.atomic():
        seen = User.objects.select_for_update(no_key=True).get(pk=machine.pk)
        if seen.kind != User.Kind.SERVICE:
            raise NotAllowed(f"{seen.name} is a person and has no ceiling; nothing was changed.")
        ceiling = sorted((set(seen.ceiling) | add) - take)
        row = User.objects.filter(pk=seen.pk, version=seen.version, is_active=True)
        if ceiling == seen.ceiling or not row.update(ceiling=ceiling, version=F("version") + 1):
            raise CeilingUnchanged(
                f"{seen.name} has this ceiling already, or is inactive; nothing was changed."
            )
        machine.ceiling, machine.version = ceiling, seen.version + 1
        record(
            "account.scopes",
            of=machine,
            subject=f"account:{machine.pk}",
            actor=by,
            scopes=ceiling,
            before=seen.ceiling,
        )
