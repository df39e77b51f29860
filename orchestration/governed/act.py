"""What a governed act is: what it asks for, whom it favours, and the one writer that it calls."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar
from uuid import UUID

from audit.ledger.entry import Actor
from orchestration.models import Change

Given = Mapping[str, Any]
Faults = dict[str, str]


class Act(ABC):
    """One edit that takes more than one person. `perform` runs in a transaction of its caller."""

    name: ClassVar[str]
    title: ClassVar[str]
    summary: ClassVar[str]  # of each change; may refer to the inputs
    description: ClassVar[str]
    inputs: ClassVar[dict[str, dict[str, Any]]]  # as in a workflow; each is an argument of the same name

    def faults(self, given: Given) -> Faults:
        """Why it cannot be done, by argument; empty when it can."""
        return {}

    def concerns(self, given: Given) -> frozenset[UUID]:
        """Accounts that it favours or that wrote it, and that therefore never agree to it."""
        return frozenset()

    @abstractmethod
    def holds(self, given: Given) -> bool:
        """Whether what is asked for is so already: a second attempt must not do it twice."""

    def prepare(self, given: Given) -> Any:
        """What takes its time and must not run inside a transaction; handed to `perform`."""
        return None

    @abstractmethod
    def perform(self, given: Given, prepared: Any, *, by: Actor) -> None:
        """Call the writer. A Refusal fails the step with its sentence."""

    @property
    def slug(self) -> str:
        """Of its workflow: `membership.start` is requested as `membership-start`."""
        return self.name.replace(".", "-")


def requested_by(by: Actor) -> Change:
    """The governed change whose act this is, by the actor of its step."""
    number = int(by.id.removeprefix("change:CHG-"))
    return Change.objects.select_related("requester", "revision").get(number=number)


def chosen(title: str, among: str, **more: Any) -> dict[str, Any]:
    """An input that names a record; the form offers those there are."""
    return {"type": "string", "title": title, "maxLength": 150, "x-ui": {"choices": among}, **more}
