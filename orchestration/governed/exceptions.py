"""The act about exceptions: a deviation that others agree to, with an owner and an end."""

from typing import Any, ClassVar
from uuid import UUID

from accounts.models import User
from audit.ledger.entry import Actor
from orchestration import waivers
from orchestration.governed.act import Act, Faults, Given, chosen

DAY = {
    "type": "string",
    "title": "Last day",
    "description": "UTC, at most 365 days from now",
    "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
    "examples": ["2026-12-31"],
}


class GrantException(Act):
    name = "exception.grant"
    title = "Grant an exception"
    summary = "Except {{inputs.kind}} {{inputs.name}} from {{inputs.rule}} until {{inputs.until}}"
    description = (
        "An exception explains a finding to an auditor. It opens nothing: policy and the gate do not read it."
    )
    inputs: ClassVar = {
        "rule": {
            "type": "string",
            "title": "Control test or policy rule",
            "maxLength": 200,
            "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]*$",
            "examples": ["CT-03"],
        },
        "kind": {"type": "string", "title": "For a", "enum": list(waivers.SCOPES)},
        "name": {
            "type": "string",
            "title": "Its name",
            "maxLength": 150,
            "pattern": "^[a-z0-9][a-z0-9._@-]*$",
        },
        "owner": chosen("Owner, who answers for it", "accounts"),
        "until": DAY,
        "why": {
            "type": "string",
            "title": "Why, and what makes up for it",
            "minLength": 1,
            "maxLength": 2000,
        },
    }

    def faults(self, given: Given) -> Faults:
        return waivers.faults(**{name: given[name] for name in ("rule", "kind", "name", "owner", "until")})

    def concerns(self, given: Given) -> frozenset[UUID]:
        """Its owner never agrees to it, nor the person whom it excepts."""
        names = {given["owner"], *([given["name"]] if given["kind"] == "person" else [])}
        return frozenset(User.objects.filter(username__in=names).values_list("pk", flat=True))

    def holds(self, given: Given) -> bool:
        return waivers.find(**_arguments(given)) is not None

    def perform(self, given: Given, prepared: Any, *, by: Actor) -> None:
        waivers.grant(**_arguments(given), by=by)


def _arguments(given: Given) -> dict[str, Any]:
    known = {name: given[name] for name in ("rule", "kind", "name", "owner", "until")}
    return {**known, "reason": given["why"]}
