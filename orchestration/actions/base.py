"""What an action is: a name, a schema for its `with:`, an effect class, and one way to run.

A third party adds one through the entry-point group `countersign.actions`. An action of theirs never sees a database.
"""

import json
import os
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal
from uuid import UUID

CHILD = Path(__file__).with_name("child.py")
NOWHERE = Path("/dev/null")  # no folder: what is written below it fails, in words

# In the schema of an action: the name under which the step lists a secret. Its value never stands in `with:`.
SECRET = {
    "type": "string",
    "pattern": "^[A-Z][A-Z0-9_]{0,63}$(?!\\n)",
    "description": "a secret of the step, by its name there",
}

Effect = Literal["read_only", "idempotent", "at_most_once", "reconcilable"]


class Cancelled(Exception):
    """The run was stopped, its time is over, or this worker lost the step."""


class Failed(Exception):
    """It did not work; the words are the reason that people read."""


@dataclass(frozen=True)
class Spawn:
    """What a process action wants run: an argv list, never a shell string."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    success_codes: tuple[int, ...] = (0,)
    given: str | None = None  # text that the program finds in the private file $STEP_WITH


@dataclass(frozen=True)
class Result:
    """What `run` did; `reason` is a sentence, `outputs` one flat object, `exit_code` a failed program's far away."""

    succeeded: bool
    reason: str = ""
    outputs: Mapping[str, str | int | bool] = field(default_factory=dict)
    exit_code: int | None = None


@dataclass(frozen=True)
class Context:
    """What `run` is given."""

    with_: Mapping[str, Any]
    idempotency_key: str
    fence: str
    cancelled: threading.Event
    deadline: float
    say: Callable[[str], None]
    phase: str = (
        "apply"  # or "plan": look, leave files, change nothing; or "check": see whether it has been done
    )
    artifacts: Path = NOWHERE  # into which a plan step puts what reviewers are to see
    plans: Path = NOWHERE  # with a folder for each plan step: the very bytes that were signed
    secrets: Path | None = None

    def secret(self, name: str) -> str:
        """The value of a secret that the step lists under this name; in a process of its own only."""
        if self.secrets is None or not (self.secrets / name).is_file():
            raise LookupError(f"The step lists no secret {name}.")
        return (self.secrets / name).read_text()

    def secret_file(self, name: str) -> Path | None:
        """The private file that holds the secret, for a program that takes files; None without one."""
        path = self.secrets / name if self.secrets else None
        return path if path is not None and path.is_file() else None

    def pause(self, seconds: float) -> None:
        """Wait; raises Cancelled at once when the run is stopped or its time is over."""
        if self.cancelled.wait(max(0.0, min(seconds, self.remaining_seconds))):
            raise Cancelled
        if self.remaining_seconds <= 0:
            raise Cancelled

    @property
    def remaining_seconds(self) -> float:
        return self.deadline - time.monotonic()


class Action:
    """Base of every action."""

    name: ClassVar[str]
    summary: ClassVar[str]
    schema: ClassVar[dict[str, Any]]
    effect: ClassVar[Effect] = "at_most_once"
    plans: ClassVar[bool] = (
        False  # whether it can run in the phase `plan`, where it only reads and leaves files
    )
    applies_plans: ClassVar[bool] = (
        False  # whether it does only what a plan step of its kind found, named in `with.plan`
    )
    environments: ClassVar[frozenset[str] | None] = None  # slugs of the only places where it may be used
    checks: ClassVar[bool] = False  # whether it can tell if its effect has happened
    asks: ClassVar[bool] = False  # whether a person does it: then nothing runs
    timeout: ClassVar[str] = "1h"  # where the author of a step names none

    def reads(self, with_: Mapping[str, Any]) -> tuple[str, ...]:
        """The files and folders beside the workflow that it reads; an empty name is all of them."""
        return ()

    def effect_of(self, with_: Mapping[str, Any]) -> Effect:
        """What a step of this kind has when its author says nothing; where that depends on what it is given."""
        return self.effect

    def faults(self, with_: Mapping[str, Any]) -> dict[str, str]:
        """What the schema cannot know, by the name in `with:`, in a sentence: that there is no such team."""
        return {}

    def concerns(self, with_: Mapping[str, Any]) -> frozenset[UUID]:
        """Accounts that it favours, or that wrote it: they never agree to it."""
        return frozenset()


class ProcessAction(Action, ABC):
    """Runs as a supervised process tree."""

    @abstractmethod
    def spawn(self, with_: Mapping[str, Any]) -> Spawn:
        """What to start. Pure: nothing is done here."""


class ChildAction(ProcessAction, ABC):
    """Runs Python of its own in a supervised process tree, without the product: for libraries, and for secrets.

    `inherits` names the variables of the worker's environment that its process sees: settings, never credentials.
    """

    inherits: ClassVar[tuple[str, ...]] = ()

    def spawn(self, with_: Mapping[str, Any]) -> Spawn:
        env = {name: os.environ[name] for name in self.inherits if name in os.environ}
        module = type(self).__module__
        argv = (sys.executable, "-I", str(CHILD), _found_in(module), module, type(self).__qualname__)
        return Spawn(argv=argv, env=env, given=json.dumps(dict(with_)))

    @abstractmethod
    def run(self, context: Context) -> Result:
        """Do it; raise Cancelled when told to stop. Called in the step's own process only."""

    def check(self, context: Context) -> Result:
        """Whether it has been done, by an attempt whose end nobody saw. To raise anything is to have no answer.

        An action that says `checks` answers here, or in `run` by its phase.
        """
        if self.checks:
            return self.run(context)
        raise LookupError(f"{self.name} cannot tell whether it has been done")


def _found_in(module: str) -> str:
    """The folder in which this process found the module's package: the step's own process looks there too."""
    package = sys.modules[module.partition(".")[0]]
    place = next(iter(getattr(package, "__path__", ())), None) or str(package.__file__)
    return str(Path(place).parent)


class InProcessAction(Action, ABC):
    """Runs in the worker's thread: for waiting on something far away, never for work of its own."""

    @abstractmethod
    def run(self, context: Context) -> Result:
        """Do it; raise Cancelled when told to stop."""
