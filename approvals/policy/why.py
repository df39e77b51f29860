"""Why policy answered as it did: the rule in words, where it stands, what it read, and what would have been otherwise.

What would have been otherwise is found by asking the same bundle again with one fact changed at a time; where that
cannot be asked, nothing is said. It decides nothing and must never be what a decision rests on.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from approvals.models import Bundle
from approvals.policy import contract, pool
from approvals.policy.engine import PolicyRefused, PolicyUnavailable, Sources
from audit.canonical import canonical, parse

PARTS = ("deny", "require", "warn", "windows", "obligations")
UNLESS = {
    "deny": "Allowed",
    "require": "Not asked",
    "warn": "No warning",
    "windows": "No window",
    "obligations": "Nothing owed",
}
SMALL = 10  # integers are tried one by one up to here
MOST = 40  # questions about one value
SECONDS = 3.0  # for all of them: a page must not wait
Records = Mapping[
    str, Sequence[Mapping[str, Any]]
]  # `input.environment` -> the records that could stand there


@dataclass(frozen=True)
class Why:
    """One rule that answered."""

    part: str  # deny, require, warn, windows, obligations
    id: str
    title: str
    description: str
    place: str  # production.rego:18
    message: str
    read: tuple[tuple[str, Any], ...]
    answer: Mapping[str, Any]
    otherwise: str  # "Not asked where service.tier is 2 to 9."; empty where it cannot be computed


@dataclass(frozen=True)
class Question:
    """A bundle and facts that can be asked again, for a while; equal when both are."""

    bundle: str
    facts: bytes
    sources: Sources = field(compare=False, hash=False)
    until: float = field(compare=False, hash=False)

    def says(self, facts: Mapping[str, Any], part: str, rule: str) -> bool:
        """Whether this rule answers to these facts."""
        if time.monotonic() > self.until:
            raise PolicyUnavailable("This takes too long to be said.")
        answer = pool.trial().evaluate(self.bundle, self.sources, facts)
        return any(_note(part, one)["rule"] == rule for one in answer[part])


def explain(
    bundle: Bundle, facts: Mapping[str, Any], output: Mapping[str, Any], *, records: Records | None = None
) -> list[Why]:
    """Every rule that answered, refusals first. `output` names rules by place, as a decision keeps it."""
    asked = Question(bundle.digest, canonical(facts), bundle.sources, until=time.monotonic() + SECONDS)
    told = {row["place"]: row for row in bundle.rules}
    kinds = canonical(records or {})
    return [
        _why(asked, part, one, told.get(_note(part, one)["rule"], {}), kinds)
        for part in PARTS
        for one in output[part]
    ]


def _why(
    asked: Question, part: str, answer: Mapping[str, Any], rule: Mapping[str, Any], records: bytes
) -> Why:
    note = _note(part, answer)
    read = tuple((one["path"], one["value"]) for one in note.get("read", ()))
    paths = tuple(path for path, _ in read)
    try:
        otherwise = _otherwise(asked, part, str(rule["id"]), paths, records) if rule else ""
    except (PolicyRefused, PolicyUnavailable):
        otherwise = ""  # not kept: the next page asks again
    return Why(
        part=part,
        id=str(rule.get("id", "")),
        title=str(rule.get("title", "")),
        description=str(rule.get("description", "")),
        place=note["rule"],
        message=note["message"],
        read=read,
        answer=answer,
        otherwise=otherwise,
    )


def _note(part: str, answer: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = answer["why"] if part == "require" else answer
    return found


@lru_cache(maxsize=2048)
def _otherwise(asked: Question, part: str, rule: str, paths: tuple[str, ...], records: bytes) -> str:
    """A sentence from the values with which this rule would have been silent."""
    facts, known = parse(asked.facts), parse(records)
    found = [(path, _silent(asked, part, rule, path, facts, known)) for path in dict.fromkeys(paths)]
    said = [f"{path.removeprefix('input.')} is {_listed(values)}" for path, values in found if values]
    return f"{UNLESS[part]} where {', or where '.join(said)}." if said else ""


def _silent(
    asked: Question, part: str, rule: str, path: str, facts: Mapping[str, Any], records: Records
) -> list[Any]:
    """The values at this path, each alone, that silence the rule."""
    tried = list(_alternatives(path, facts, records))[:MOST]
    return [value for value, other in tried if not asked.says(other, part, rule)]


def _alternatives(
    path: str, facts: Mapping[str, Any], records: Records
) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Each other value that could stand there, with the facts as they would be then."""
    now, parent = contract.lookup(facts, path), path.rpartition(".")[0]
    if path.endswith(".slug") and parent in records:
        for record in records[parent]:
            if record["slug"] != now:
                yield record["slug"], _with(facts, parent, {**contract.lookup(facts, parent), **record})
    for value in _others(path, now):
        yield value, _with(facts, path, value)


def _others(path: str, now: Any) -> Iterable[Any]:
    rule = contract.input_schema(path)
    if isinstance(now, bool):
        return [not now]
    if isinstance(now, int) and rule.get("type") == "integer":
        first, last = rule.get("minimum", 0), min(rule.get("maximum", SMALL), SMALL)
        return [value for value in range(first, last + 1) if value != now]
    return [value for value in rule.get("enum", ()) if value != now]


def _with(facts: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy with another value at the path."""
    name, _, rest = path.removeprefix("input.").partition(".")
    return {**facts, name: _with(facts[name], rest, value) if rest else value}


def _listed(values: Sequence[Any]) -> str:
    """`2 to 9`, `false`, `staging or test`."""
    if (
        len(values) > 2
        and all(type(one) is int for one in values)
        and values[-1] - values[0] == len(values) - 1
    ):
        return f"{values[0]} to {values[-1]}"
    words = [str(one).lower() if isinstance(one, bool) else str(one) for one in values]
    return " or ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]
