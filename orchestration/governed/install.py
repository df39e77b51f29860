"""Puts the governed acts into the catalogue: the place, the service, a workflow each. Again, it adds what is new."""

import yaml

from accounts.models import Team
from audit.ledger.entry import Actor
from audit.refusals import Refusal
from orchestration import catalogue
from orchestration.definitions.workflow import Definition, load
from orchestration.governed.act import Act
from orchestration.governed.action import acts
from orchestration.models import CONTROL_ROOM, ITSELF, Environment, Service, Workflow

POSITION = 1000  # after every place where a product lands
ORIGIN = "comes with Countersign"


class NotTheControlRoom(Refusal):
    """An environment has the control room's name and is not protected as it must be."""

    code = "not_the_control_room"


def install(owner: Team, *, by: Actor) -> list[Workflow]:
    """Everything that is not there yet. `owner` is asked about each governed act and approves their versions."""
    place = Environment.objects.filter(slug=CONTROL_ROOM).first()
    if place is None:
        catalogue.create_environment(
            slug=CONTROL_ROOM, name="Control room", tier=1, position=POSITION, protected=True, by=by
        )
    elif not place.protected or place.tier != 1:
        raise NotTheControlRoom(f"{CONTROL_ROOM} must be protected and of tier 1; nothing was installed.")
    if not Service.objects.filter(slug=ITSELF).exists():
        catalogue.create_service(slug=ITSELF, name="Countersign itself", tier=1, owner=owner, by=by)
    return [catalogue.install(definition(one, owner), origin=ORIGIN, by=by) for one in acts().values()]


def definition(act: Act, owner: Team) -> Definition:
    """The workflow of one act: what it asks for is what it is given, and it has one step."""
    document = {
        "apiVersion": "countersign.dev/v1",
        "kind": "Workflow",
        "metadata": {"name": act.slug, "title": act.title, "owner": owner.slug},
        "spec": {
            "summary": act.summary,
            "description": act.description,
            "inputs": act.inputs,
            "environments": [CONTROL_ROOM],
            "steps": {
                "perform": {
                    "title": act.summary,
                    "uses": "govern",
                    "with": {"act": act.name, **{name: f"{{{{inputs.{name}}}}}" for name in act.inputs}},
                    "timeout": "5m",
                }
            },
        },
    }
    return load(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))
