"""What any policy engine must be able to do. It must never decide what an answer means."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from audit.refusals import Refusal

Sources: TypeAlias = Mapping[str, str]  # path -> text
UNKEPT = re.compile("[\0\ud800-\udfff]")


class PolicyUnavailable(Refusal):
    """No answer came: a crash, a loop, no active bundle. Nothing proceeds without an answer."""

    code = "policy_unavailable"
    status = 503


@dataclass(frozen=True)
class Fault:
    """One thing that keeps a bundle from judging, where its author can mend it."""

    file: str
    line: int
    message: str

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}" if self.file else "the bundle"


class PolicyRefused(Refusal):
    """The rules do not compile, or what they answer is no answer. `faults`: each place in the files that is wrong."""

    code = "policy_refused"

    def __init__(
        self, message: str, *, errors: list[dict[str, str]] | None = None, faults: Sequence[Fault] = ()
    ) -> None:
        told = [{"pointer": f"/{one.file}", "detail": f"{one.place}: {one.message}"} for one in faults]
        super().__init__(message, errors=[*(errors or []), *told])
        self.faults = list(faults)


class PolicyDenied(Refusal):
    """The rules answered, and the answer is no."""

    code = "policy_denied"
    status = 403


def illegible(sources: Sources) -> list[Fault]:
    """What cannot be kept nor shown: a NUL character, or half of a surrogate pair, in a name or a text."""
    found = []
    for path, text in sources.items():
        bad = UNKEPT.search(path) or UNKEPT.search(text)
        if bad:
            line = text.count("\n", 0, bad.start()) + 1 if not UNKEPT.search(path) else 0
            shown = UNKEPT.sub("\N{REPLACEMENT CHARACTER}", path)
            found.append(Fault(shown, line, f"It holds {bad[0]!r}, which is no text."))
    return found


@dataclass(frozen=True)
class Rule:
    """One rule as the engine read it: where it stands, what it reads, which rule ids it writes."""

    package: str
    name: str
    file: str
    line: int
    says: tuple[str | None, ...]
    reads: tuple[str, ...]
    uses: tuple[str, ...]
    empty: bool

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class TestResult:
    """One Rego test and how it went."""

    name: str
    file: str
    line: int
    passed: bool
    message: str


class Engine(Protocol):
    """Embedded or remote; each refuses with PolicyUnavailable or PolicyRefused and nothing else."""

    def compile(self, sources: Sources) -> list[Rule]: ...

    def test(self, sources: Sources) -> list[TestResult]: ...

    def evaluate(self, bundle: str, sources: Sources, facts: Mapping[str, Any]) -> Any: ...
