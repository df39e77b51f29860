"""Acts about destinations: where entries of the ledger leave the house for, what of them, and that it ends."""

from typing import Any, ClassVar

from audit.ledger.entry import Actor
from orchestration.governed.act import Act, Faults, Given
from orchestration.models import Destination
from orchestration.outgoing import destinations

NAME = {
    "type": "string",
    "title": "Destination",
    "description": "What people call it.",
    "pattern": "^[a-z0-9][a-z0-9-]{0,62}$",
    "maxLength": 63,
    "examples": ["siem"],
}
SETTINGS: dict[str, dict[str, Any]] = {
    "url": {
        "type": "string",
        "title": "Address",
        "description": "By https, without a query; http only to hosts that the operator allows.",
        "maxLength": 200,
        "examples": ["https://siem.bank.example/events"],
    },
    "kinds": {
        "type": "string",
        "title": "Kinds of entries",
        "description": "With spaces between them: change.approved sign_off.*; * means all",
        "maxLength": 2000,
        "default": "*",
    },
    "batch": {
        "type": "integer",
        "title": "Entries in one request, at most",
        "minimum": 1,
        "maximum": destinations.MOST,
        "default": 1,
    },
    "names": {
        "type": "boolean",
        "title": "Send names of people along",
        "description": "Entries hold ids. A name that was sent cannot be erased over there from here",
        "default": False,
    },
    "secret": {
        "type": "string",
        "title": "Secret",
        "description": "Its path. The key that signs a webhook; for OTLP the whole value of the header, or nothing.",
        "maxLength": 150,
        "default": "",
        "examples": ["platform/siem-key"],
    },
    "header": {
        "type": "string",
        "title": "Header that holds the secret",
        "description": "For OTLP",
        "pattern": "^[A-Za-z][A-Za-z0-9-]{0,99}$",
        "maxLength": 100,
        "default": "Authorization",
    },
}


class OfDestination(Act):
    """An act about a destination that stands."""

    def faults(self, given: Given) -> Faults:
        return {} if _standing(given) else {"name": "There is no such destination."}


class Create(Act):
    name = "destination.create"
    title = "Send entries to another system"
    summary = "Send {{inputs.kinds}} to {{inputs.name}} at {{inputs.url}}"
    description = (
        "Entries say who did what, by ids. From then on they leave the house, in order and at least once."
    )
    inputs: ClassVar = {
        "name": NAME,
        "kind": {
            "type": "string",
            "title": "Sent as",
            "description": "webhook: CloudEvents, signed. otlp: logs by OTLP over HTTP",
            "enum": list(Destination.Kind.values),
        },
        "since": {
            "type": "string",
            "title": "Beginning with",
            "description": "now: the next entry that is sealed. beginning: the first of the log",
            "enum": ["now", "beginning"],
            "default": "now",
        },
        **SETTINGS,
    }

    def faults(self, given: Given) -> Faults:
        found = destinations.faults(kind=given["kind"], **_asked_about(given))
        if _standing(given) and not self.holds(given):
            found["name"] = "There is a destination of this name."
        return found

    def holds(self, given: Given) -> bool:
        row = _standing(given)
        return row is not None and row.kind == given["kind"] and _is_so(row, given)

    def perform(self, given: Given, prepared: Any, *, by: Actor) -> None:
        since = given["since"] == "beginning"
        about = {name: given[name] for name in ("name", "kind")}
        destinations.create(**about, from_beginning=since, by=by, **settings(given))


class Edit(OfDestination):
    name = "destination.edit"
    title = "Change where or what entries are sent"
    summary = "Send {{inputs.kinds}} to {{inputs.name}} at {{inputs.url}} from now on"
    description = "What is said here holds for the next entry that is sent. How far it got stays."
    inputs: ClassVar = {"name": NAME, **SETTINGS}

    def faults(self, given: Given) -> Faults:
        row = _standing(given)
        if row is None:
            return super().faults(given)
        return destinations.faults(kind=row.kind, **_asked_about(given))

    def holds(self, given: Given) -> bool:
        row = _standing(given)
        return row is not None and _is_so(row, given)

    def perform(self, given: Given, prepared: Any, *, by: Actor) -> None:
        row = Destination.objects.standing().get(name=given["name"])
        destinations.edit(row, by=by, **settings(given))


class End(OfDestination):
    name = "destination.end"
    title = "Send no entries to a system any more"
    summary = "Send nothing to {{inputs.name}} any more"
    description = "Whoever watches over there sees nothing from then on. What was sent stays with them."
    inputs: ClassVar = {"name": NAME}

    def holds(self, given: Given) -> bool:
        return _standing(given) is None

    def perform(self, given: Given, prepared: Any, *, by: Actor) -> None:
        destinations.end(Destination.objects.standing().get(name=given["name"]), by=by)


def settings(given: Given) -> dict[str, Any]:
    """The settings as the writer takes them."""
    kept = {name: given[name] for name in SETTINGS}
    return {**kept, "kinds": sorted(set(given["kinds"].split()))}


def _asked_about(given: Given) -> dict[str, Any]:
    found = settings(given)
    return {name: found[name] for name in ("url", "kinds", "secret", "header")}


def _standing(given: Given) -> Destination | None:
    return Destination.objects.standing().select_related("secret").filter(name=given["name"]).first()


def _is_so(row: Destination, given: Given) -> bool:
    asked = settings(given)
    if row.kind != Destination.Kind.OTLP:
        asked["header"] = ""
    return destinations.settings_of(row) == asked
