"""What every orchestrator is to a step: start a job under a key, look at it, cancel it, and find it again by the key.

A key starts one job. Where the other side refuses a second one by itself that is certain; elsewhere the job carries
the key, and is looked for before one is started. No answer may choose where the next request goes.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from orchestration.actions import egress
from orchestration.actions.base import Context, Effect
from orchestration.actions.trigger.far import Far

State = Literal["waiting", "running", "succeeded", "failed", "cancelled"]
ENDED = frozenset({"succeeded", "failed", "cancelled"})

URL = {
    "type": "string",
    "pattern": f"^{egress.BASE}$(?!\\n)",
    "maxLength": 500,
    "description": "where it is reached, without a query",
}
VALUES = {
    "type": "object",
    "maxProperties": 100,
    "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_.-]{0,99}$(?!\\n)"},
    "additionalProperties": {"type": ["string", "integer", "boolean"], "maxLength": 10_000},
}
NAME = "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}$(?!\\n)"


def named(description: str, pattern: str = NAME) -> dict[str, Any]:
    """The schema of a name over there: never one that begins with a dash or climbs."""
    return {"type": "string", "pattern": pattern, "maxLength": 255, "description": description}


@dataclass(frozen=True)
class Handle:
    """A job over there, by what its orchestrator calls it."""

    id: str
    link: str
    queued: bool = False  # only an entry of a queue as yet


@dataclass(frozen=True)
class Look:
    """What a job is at the moment: in our words, in theirs, and where a person sees it."""

    state: State
    word: str
    handle: Handle


class Orchestrator(ABC):
    """One orchestrator, with what the step gave it."""

    name: ClassVar[str]
    title: ClassVar[str]
    url: ClassVar[str] = ""  # where it is, unless the step says otherwise
    schema: ClassVar[dict[str, Any]]
    # `idempotent` where it refuses a second job by itself, `reconcilable` where ours can be found again.
    effect: ClassVar[Effect] = "reconcilable"
    found_by: ClassVar[str] = ""  # the argument without which a job is not found again

    def __init__(self, given: Mapping[str, Any], context: Context) -> None:
        self.given = given
        self.far = Far(context, given.get("url", self.url).rstrip("/"), self.headers(context))

    @classmethod
    def finds(cls, given: Mapping[str, Any]) -> bool:
        """Whether a job can be found again by its key."""
        return not cls.found_by or cls.found_by in given

    @abstractmethod
    def headers(self, context: Context) -> dict[str, str]:
        """What lets us in."""

    @abstractmethod
    def find(self, key: str) -> Handle | None:
        """The job that was started under the key."""

    @abstractmethod
    def start(self, key: str) -> Handle:
        """Start one; sent once, whatever the answer."""

    @abstractmethod
    def look(self, handle: Handle) -> Look:
        """How it is with the job."""

    @abstractmethod
    def cancel(self, handle: Handle) -> None:
        """Ask that it ends."""


def shown(link: Any, otherwise: str) -> str:
    """A link that an answer gives, if it is a plain one: it is for people, and never asked."""
    try:
        return str(egress.place(str(link)[:2000]))
    except egress.PlaceRefused:
        return otherwise


def text(value: Any) -> str:
    """A value as orchestrators that know only text want it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
