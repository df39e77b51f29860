"""Acts about where and what is changed: an environment or a service of which policy will ask less."""

from collections.abc import Mapping
from typing import Any, ClassVar

from accounts.models import Team
from audit.ledger.entry import Actor
from orchestration import catalogue
from orchestration.governed.act import Act, Faults, Given, chosen
from orchestration.models import Environment, Service

ENVIRONMENT = chosen("Environment", "environments")
SERVICE = chosen("Service", "services")
TIER = {
    "type": "integer",
    "title": "Tier",
    "description": "1 is the most critical",
    "minimum": 1,
    "maximum": 9,
}


class EditPlace(Act):
    """An edit of one environment or service, which recalls whatever was asked of it."""

    model: ClassVar[type[Environment] | type[Service]]
    argument: ClassVar[str]  # which of the inputs names the record

    def edited(self, given: Given) -> Mapping[str, Any]:
        """The columns and their new values."""
        raise TypeError(f"{type(self).__name__} does not say what it edits")

    def faults(self, given: Given) -> Faults:
        return {} if self._row(given) else {self.argument: f"There is no such {self.argument}."}

    def holds(self, given: Given) -> bool:
        row = self._row(given)
        return row is not None and all(getattr(row, key) == one for key, one in self.edited(given).items())

    def perform(self, given: Given, prepared: Any, *, by: Actor) -> None:
        row = self.model._default_manager.get(slug=given[self.argument])
        catalogue.edit_governed(row, by=by, **self.edited(given))

    def _row(self, given: Given) -> Environment | Service | None:
        return self.model._default_manager.filter(slug=given[self.argument]).first()


class EnvironmentTier(EditPlace):
    name = "environment.tier"
    title = "Change the tier of an environment"
    summary = "Make {{inputs.place}} a tier {{inputs.tier}} environment"
    description = (
        "Policy asks less of a less critical tier. Whatever was asked of the environment is sent back."
    )
    inputs: ClassVar = {"place": ENVIRONMENT, "tier": TIER}
    model, argument = Environment, "place"

    def edited(self, given: Given) -> Mapping[str, Any]:
        return {"tier": given["tier"]}


class EnvironmentUnprotect(EditPlace):
    name = "environment.unprotect"
    title = "Lift the protection of an environment"
    summary = "Lift the protection of {{inputs.place}}"
    description = "Policy may ask less where nothing is protected. Whatever was asked of it is sent back."
    inputs: ClassVar = {"place": ENVIRONMENT}
    model, argument = Environment, "place"

    def edited(self, given: Given) -> Mapping[str, Any]:
        return {"protected": False}


class ServiceTier(EditPlace):
    name = "service.tier"
    title = "Change the tier of a service"
    summary = "Make {{inputs.subject}} a tier {{inputs.tier}} service"
    description = "Policy asks less of a less critical tier. Whatever was asked of the service is sent back."
    inputs: ClassVar = {"subject": SERVICE, "tier": TIER}
    model, argument = Service, "subject"

    def edited(self, given: Given) -> Mapping[str, Any]:
        return {"tier": given["tier"]}


class ServiceOwner(EditPlace):
    name = "service.owner"
    title = "Give a service to another team"
    summary = "Give {{inputs.subject}} to {{inputs.team}}"
    description = "The owner is asked first about each change of a service."
    inputs: ClassVar = {"subject": SERVICE, "team": chosen("New owner", "teams")}
    model, argument = Service, "subject"

    def faults(self, given: Given) -> Faults:
        known = Team.objects.filter(slug=given["team"]).exists()
        return {**super().faults(given), **({} if known else {"team": "There is no such team."})}

    def edited(self, given: Given) -> Mapping[str, Any]:
        return {"owner": Team.objects.filter(slug=given["team"]).first()}
