"""The way through a workflow's steps: conditions, matrices, verification. Pure.

A matrix becomes ordinary steps, and verification becomes needs, before the digest is made: what is signed is what
runs, step by step. It must never depend on the order of keys, which the database does not keep.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from math import prod
from typing import Any, NamedTuple

from orchestration.definitions import conditions, graph, phases
from orchestration.definitions.substitution import references

MAX_MATRIX, MAX_STEPS, MAX_KEY = 256, 1024, 100
MAX_TITLE = 200
UNDO = "undo."  # before the key of what undoes a step: a dot stands in no key that an author writes
Steps = Mapping[str, Mapping[str, Any]]
Fault = tuple[tuple[str | int, ...], str]  # the place below `spec`, and what is wrong there


class Member(NamedTuple):
    """One step of a matrix: its key, and the value of each axis."""

    key: str
    values: Mapping[str, conditions.Value]


def faults(spec: Mapping[str, Any]) -> Iterator[Fault]:
    """What is wrong with the way through, in the order in which it has to be right."""
    steps = spec["steps"]
    wrong = list(_matrices(steps)) or [
        *_verification(steps),
        *_undone(steps),
    ]  # a huge matrix is never laid out
    yield from wrong or _conditions(spec)


def known(step: Mapping[str, Any]) -> dict[str, conditions.Value]:
    """What a step may refer to besides inputs, with a value that each may have."""
    return {f"matrix.{axis}": values[0] for axis, values in step.get("matrix", {}).items()}


def needs(steps: Steps) -> dict[str, list[str]]:
    """What each step waits for: a step of verification for all others, besides what it names."""
    named = {key: list(step.get("needs", [])) for key, step in steps.items()}
    main = [key for key, step in steps.items() if not _verifies(step)]
    waited_for = {name for key in main for name in named[key]}
    last = [key for key in main if key not in waited_for]
    return {
        key: [*names, *(one for one in last if one not in names)] if _verifies(steps[key]) else names
        for key, names in named.items()
    }


def expanded(steps: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Every step that runs, each matrix as its members; whoever needs a matrix needs all of them."""
    written = {step["key"]: step for step in steps}
    members = {key: _members(key, step.get("matrix", {})) for key, step in written.items()}
    waits = needs(written)
    return [
        {
            **_member(step, one),
            "needs": [before.key for need in waits[key] for before in members[need]],
        }
        for key, step in written.items()
        for one in members[key]
    ]


def values(step: Mapping[str, Any]) -> Mapping[str, conditions.Value]:
    """`matrix.region` and so on, of one member."""
    return {f"matrix.{axis}": value for axis, value in step.get("matrix", {}).get("values", {}).items()}


def signed(step: Mapping[str, Any]) -> dict[str, Any]:
    """What a document says of the way, and only where an author said it."""
    names = ("when", "continue_on_error", "phase", "matrix")
    return {name: step[name] for name in names if step.get(name)}


def values_told(of: Iterable[conditions.Value]) -> str:
    """The values of a member in its title."""
    return ", ".join(map(_text, of))


def _member(step: Mapping[str, Any], one: Member) -> dict[str, Any]:
    if "matrix" not in step:
        return dict(step)
    most = {"max_parallel": step["max_parallel"]} if "max_parallel" in step else {}
    title = step.get("title") or step["key"]
    told = values_told(one.values.values())
    tells = any(name.startswith("matrix.") for name in references(title))
    titled = title if tells else f"{title} ({told})"[:MAX_TITLE]
    rest = {name: part for name, part in step.items() if name != "max_parallel"}
    return {
        **rest,
        "key": one.key,
        "title": titled,
        "matrix": {"step": step["key"], "values": dict(one.values), **most},
    }


def _members(key: str, matrix: Mapping[str, Sequence[conditions.Value]]) -> list[Member]:
    """In the order of the axes' names and of their values; a step without a matrix is its only one."""
    axes = sorted(matrix)
    rows = product(*(matrix[axis] for axis in axes))
    return [Member(".".join([key, *map(_part, row)]), dict(zip(axes, row, strict=True))) for row in rows]


def _part(value: conditions.Value) -> str:
    """A value as a part of a key: a dot stands in no key that an author writes, so none is taken."""
    return re.sub(r"[^a-z0-9]+", "-", _text(value).lower()).strip("-")


def _text(value: conditions.Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _verifies(step: Mapping[str, Any]) -> bool:
    return step.get("phase") == "verify"


# --- what is wrong ------------------------------------------------------------------------------------------


def _matrices(steps: Steps) -> Iterator[Fault]:
    total = sum(prod(map(len, step.get("matrix", {}).values())) for step in steps.values())
    for key, step in steps.items():
        path = ("steps", key, "matrix")
        if "matrix" not in step:
            if "max_parallel" in step:
                yield ("steps", key, "max_parallel"), "max_parallel is for a step with a matrix."
            continue
        count = prod(map(len, step["matrix"].values()))
        if count > MAX_MATRIX or total > MAX_STEPS:
            yield (
                path,
                f"a matrix makes at most {MAX_MATRIX} steps, and a workflow has {MAX_STEPS}; it makes {count}.",
            )
        else:
            yield from ((path, detail) for detail in _misnamed(key, step["matrix"]))


def _misnamed(key: str, matrix: Mapping[str, Sequence[conditions.Value]]) -> Iterator[str]:
    for axis, given in matrix.items():
        parts = [_part(value) for value in given]
        if not all(parts) or len(set(parts)) < len(parts):
            yield f"{axis}: each value needs letters or digits of its own, for they name the steps."
        if len({conditions.kind(value) for value in given}) > 1:
            yield f"{axis}: its values are of more than one type."
    if any(len(one.key) > MAX_KEY for one in _members(key, matrix)):
        yield f"the names of its steps would have more than {MAX_KEY} characters; shorten its values."


def _planning(steps: Steps) -> Iterator[Fault]:
    """What runs before anybody agreed is plain: each plan step runs, and its failure ends the plan."""
    for key, step in steps.items():
        for word in ("when", "continue_on_error", "rollback"):
            if phases.is_plan(step) and word in step:
                yield ("steps", key, word), f"a plan step takes no {word}."


def _undone(steps: Steps) -> Iterator[Fault]:
    most = MAX_KEY - len(UNDO)
    for key, step in steps.items():
        longest = (
            max(len(one.key) for one in _members(key, step.get("matrix", {}))) if "rollback" in step else 0
        )
        if longest > most:
            yield (
                ("steps", key, "rollback"),
                f"a step that can be undone has a name of at most {most} characters.",
            )


def _verification(steps: Steps) -> Iterator[Fault]:
    """It comes last, after something that it can verify."""
    if all(map(_verifies, steps.values())):
        first = next(iter(steps))
        yield ("steps", first, "phase"), "there is nothing to verify: every step is one of verification."
    for key, step in steps.items():
        for place, name in enumerate(step.get("needs", [])):
            if _verifies(steps[name]) and not _verifies(step):
                detail = f"{key} needs {name}, which verifies and so comes after it."
                yield ("steps", key, "needs", place), detail


def _conditions(spec: Mapping[str, Any]) -> Iterator[Fault]:
    steps = spec["steps"]
    asking = [key for key, step in steps.items() if "when" in step]
    if not asking:
        return
    names: dict[str, str] = {}
    for key in steps:
        if (other := names.setdefault(conditions.name(key), key)) != key:
            yield ("steps", key), f"{other} and {key} are one name to a condition; rename one."
            return
    before = graph.before(needs(steps))
    for key in asking:
        if wrong := conditions.fault(steps[key]["when"], _types(spec, steps[key], before[key])):
            yield ("steps", key, "when"), f"{wrong}."


def _types(spec: Mapping[str, Any], step: Mapping[str, Any], before: Sequence[str]) -> dict[str, str]:
    """What a step's condition may read: inputs, and what became of the steps that it needs, directly or not."""
    types = {"service": "string", "environment": "string"}
    types |= {f"inputs.{name}": rule["type"] for name, rule in spec.get("inputs", {}).items()}
    types |= {name: conditions.kind(value) for name, value in known(step).items()}
    for key in before:
        if phases.is_plan(spec["steps"][key]):  # it is over when the run begins, and tells by its artifacts
            continue
        each = "matrix" in spec["steps"][key]
        types[f"outputs.{conditions.name(key)}"] = "each outputs" if each else "outputs"
        types[f"states.{conditions.name(key)}"] = "each state" if each else "string"
    return types
