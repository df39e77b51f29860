"""Erases what a person is called, once nobody needs it as evidence: accounts and their entries stay, under their ids.

It must never erase who asked for, agreed to or reviewed something before the time to keep evidence is over: to erase
a name would else be a way to hide who it was.
"""

from datetime import timedelta

from django.conf import settings
from django.db import transaction

from accounts.models import Person, User
from audit.clock import database_time
from audit.ledger import openings
from audit.ledger.entry import Actor
from audit.ledger.openings import Erasure
from audit.ledger.personal import ERASED
from audit.models import ActorName, Entry, FormerName
from audit.refusals import Refusal

YEAR = timedelta(days=365.25)
EVIDENCE = (
    "change.requested", "change.revised", "sign_off.given", "sign_off.withdrawn", "review.concluded", "review.closed",
)  # fmt: skip


class LegalHold(Refusal):
    """It is evidence, and the time to keep evidence is not over."""

    code = "legal_hold"


class StillActive(Refusal):
    """Whoever still works here has a name here."""

    code = "still_active"


def fault(person: Person) -> Refusal | None:
    """Why the name of this person cannot be erased now; None when it can."""
    accounts = [user for user in person.accounts.all() if user.kind == User.Kind.PERSON]
    if any(user.is_active for user in accounts):
        return StillActive("Nothing was erased: the person has an active account. Deactivate it first.")
    acts = Entry.objects.filter(actor__in=[str(user.pk) for user in accounts], kind__in=EVIDENCE)
    newest = acts.order_by("-occurred_at").values_list("occurred_at", flat=True).first()
    until = newest + YEAR * settings.EVIDENCE_YEARS if newest else None
    if until is not None and until > database_time():
        return LegalHold(
            "Nothing was erased: who asked for, agreed to or reviewed changes is evidence, and of this person that is"
            f" kept until {until:%Y-%m-%d}."
        )
    return None


@transaction.atomic
def erase(person: Person, why: Erasure, *, by: Actor) -> None:
    """The writer of the governed act `privacy.name`."""
    if refusal := fault(person):
        raise refusal
    Person.objects.filter(pk=person.pk).update(name=ERASED)
    for user in User.objects.select_for_update(no_key=True).filter(person=person, kind=User.Kind.PERSON):
        actor = str(user.pk)
        ActorName.objects.filter(actor=actor).delete()
        FormerName.objects.filter(actor=actor).delete()
        blank = {"username": f"erased-{user.pk.hex}", "name": ERASED, "email": "", "title": ""}
        openings.erase(user.pk, why, subject=f"account:{user.pk}", by=by, columns=blank)


def is_erased(person: Person) -> bool:
    """Whether nothing of its name is left."""
    return person.name == ERASED
