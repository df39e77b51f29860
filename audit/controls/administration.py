"""Acts of administration, and whether each gives somebody more or takes a protection away.

Told from the entry and from what entries before it told about the same thing; it must never ask how things are now.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from audit.controls.told import Told

Data = Mapping[str, Any]
# What always does: more than one person has to want it.
WEAKENING = {
    "membership.started", "permission.granted", "account.promoted", "passkey.trusted", "bundle.activated",
    "exception.granted", "freeze.excepted", "freeze.lifted", "kill_switch.lifted", "destination.created",
    "destination.edited", "workflow_version.active", "worker.enrolled", "key.added", "key.retired",
    "secrets_key.published", "persona.switched",
}  # fmt: skip
# What never does, and is listed all the same.
HARMLESS = {
    "membership.ended", "permission.revoked", "kill_switch.thrown", "worker.retired", "secret_version.created",
    "secret_version.destroyed",
}  # fmt: skip
# What does or does not, by what held before.
DEPENDING = {
    "account.created", "account.scopes", "environment.created", "environment.edited", "service.created",
    "service.edited", "secret.created", "secret.edited", "configuration.told",
}  # fmt: skip
ACTS = WEAKENING | HARMLESS | DEPENDING
BEGINS = {"environment.created", "service.created", "account.created", "secret.created"}
PLACES = ("environments", "services", "workflows")  # where a secret may be used


@dataclass(frozen=True, slots=True)
class Deed:
    """One act, and whether it weakens something; None where the log does not tell."""

    told: Told
    weakens: bool | None


@dataclass
class Administration:
    """All such acts, in the order of the log."""

    deeds: list[Deed] = field(default_factory=list)
    _has_worker: bool = False
    _was: dict[str, dict[str, Any]] = field(default_factory=dict)  # by what it is about

    def add(self, told: Told) -> None:
        """Take one in."""
        if told.kind not in DEPENDING:
            first = told.kind == "worker.enrolled" and not self._has_worker  # without one nothing runs at all
            self._has_worker |= told.kind == "worker.enrolled"
            self.deeds.append(Deed(told, told.kind in WEAKENING and not first))
            return
        key, before = f"{told.kind.partition('.')[0]} {told.subject}", None
        if told.kind != "account.created" and told.kind != "account.scopes":
            before = self._was.get(key)
            self._was[key] = {**(before or {}), **told.data}
        weakens = _weakens(told, before)
        if weakens is not False or told.kind not in BEGINS:
            self.deeds.append(Deed(told, weakens))


def _weakens(told: Told, before: Data | None) -> bool | None:
    data = told.data
    match told.kind:
        case "account.created":
            return bool(data.get("superuser"))
        case "account.scopes":
            return bool(set(data["scopes"]) - set(data["before"]))
        case "secret.created":
            return bool(data.get("provider", "store") != "store")  # it names what another place keeps
        case "environment.created" | "service.created":
            return False  # nobody has a right to anything there yet
    if before is None:
        return False if told.kind == "configuration.told" else None  # with the first, nothing was otherwise
    return EDITS[told.kind](data, before)


def _environment(data: Data, before: Data) -> bool | None:
    if "position" in data and data["position"] != before.get("position"):
        return None  # another order of promotion: which one protects more, nobody can tell
    lower = "tier" in data and data["tier"] > before.get("tier", 0)
    return bool(lower or data.get("protected", True) < before.get("protected", True))


def _service(data: Data, before: Data) -> bool:
    """Others are asked, or less is."""
    lower = "tier" in data and data["tier"] > before.get("tier", 0)
    return bool(lower or data.get("owner", before.get("owner")) != before.get("owner"))


def _secret(data: Data, before: Data) -> bool:
    """It may be used where it could not be before; no services or workflows means the owner's."""
    if set(data["environments"]) - set(before["environments"]):
        return True
    return any(
        set(data[name]) - set(before[name]) or (before[name] and not data[name]) for name in PLACES[1:]
    )


def _configuration(data: Data, before: Data) -> bool | None:
    """Something is kept for a shorter time; with other definitions, what is judged is not what was."""
    if any(_span(days) < _span(before["kept"].get(name, 1)) for name, days in data["kept"].items()):
        return True
    return None if data["definitions"] != before["definitions"] else False


def _span(days: int) -> float:
    return days or float("inf")  # 0 is for ever


EDITS = {
    "environment.edited": _environment,
    "service.edited": _service,
    "secret.edited": _secret,
    "configuration.told": _configuration,
}
