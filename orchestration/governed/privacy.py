"""Acts that erase: what people typed, and what somebody is called. Two people agree, and neither of them typed it.

What is asked for stands in the signed content for ever, so it names entries and ids, never a person.
"""

from typing import Any, ClassVar
from uuid import UUID

from accounts import erasing as names
from accounts.models import Person, User
from audit.ledger.entry import Actor
from audit.ledger.openings import Erasure
from audit.refusals import Refusal
from orchestration import erasing
from orchestration.governed.act import Act, Faults, Given, requested_by

BASIS = {
    "type": "string",
    "title": "Legal basis",
    "description": "Of the GDPR, or of the law that corresponds to it where you are",
    "enum": [
        "Art. 17(1)(a): no longer needed",
        "Art. 17(1)(b): consent was withdrawn",
        "Art. 17(1)(c): the person objects",
        "Art. 17(1)(d): unlawfully processed",
        "Art. 17(1)(e): another law demands it",
    ],
}


class Erase(Act):
    """An act that erases; `why` is what its entry tells."""

    def why(self, given: Given, by: Actor) -> Erasure:
        change = requested_by(by)
        return Erasure(given["basis"], change.key, str(change.requester_id), erasing.agreed(change))


class EraseTexts(Erase):
    name = "privacy.texts"
    title = "Erase what somebody typed"
    summary = "Erase what was typed with entries {{inputs.entries}}"
    description = (
        "Comments, reasons and conclusions of these entries, wherever they are shown. The log stays as it is and still"
        " verifies. Whoever typed them never agrees to it. What was sent away is not reached."
    )
    inputs: ClassVar = {
        "entries": {
            "type": "string",
            "title": "Entries",
            "description": "Their numbers in the audit log, with spaces between them",
            "pattern": "^[0-9]{1,15}( [0-9]{1,15}){0,99}$",
            "maxLength": 1600,
            "examples": ["1204 1310"],
        },
        "basis": BASIS,
    }

    def faults(self, given: Given) -> Faults:
        try:
            erasing.check(erasing.found(_numbers(given)))
        except Refusal as refusal:
            return {"entries": str(refusal)}
        return {}

    def concerns(self, given: Given) -> frozenset[UUID]:
        try:
            return erasing.authors(erasing.found(_numbers(given)))
        except Refusal:
            return frozenset()

    def holds(self, given: Given) -> bool:
        return False  # it is asked of what is there; what is gone is refused by its sentence

    def perform(self, given: Given, prepared: Any, *, by: Actor) -> None:
        erasing.erase(_numbers(given), self.why(given, by), by=by)


class EraseName(Erase):
    name = "privacy.name"
    title = "Erase the name of somebody"
    summary = "Erase the name of the person of account {{inputs.account}}"
    description = (
        "Name, user name, address and title of every account of one person who has left. Who asked for, agreed to or"
        " reviewed changes keeps the name until the time to keep evidence is over."
    )
    inputs: ClassVar = {
        "account": {
            "type": "string",
            "title": "Account",
            "description": "Its id, as the audit log shows it: a name would stay in this very request",
            "pattern": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
            "maxLength": 36,
        },
        "basis": BASIS,
    }

    def faults(self, given: Given) -> Faults:
        person = _person(given)
        if person is None:
            return {"account": "There is no account of a person with this id."}
        refusal = names.fault(person)
        return {"account": str(refusal)} if refusal else {}

    def concerns(self, given: Given) -> frozenset[UUID]:
        person = _person(given)
        return frozenset(person.accounts.values_list("pk", flat=True)) if person else frozenset()

    def holds(self, given: Given) -> bool:
        person = _person(given)
        return person is not None and names.is_erased(person)

    def perform(self, given: Given, prepared: Any, *, by: Actor) -> None:
        person = _person(given)
        if person is not None:
            names.erase(person, self.why(given, by), by=by)


def _numbers(given: Given) -> list[int]:
    return [int(one) for one in given["entries"].split()]


def _person(given: Given) -> Person | None:
    user = User.objects.filter(pk=given["account"], kind=User.Kind.PERSON).select_related("person").first()
    return user.person if user else None
