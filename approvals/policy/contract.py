"""What a policy is asked and what counts as an answer: closed schemas, and readings that must be true.

It must never repair an answer: anything beyond the schema, or less than it, refuses and names the rule.
"""

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError

from approvals.policy.engine import PolicyRefused
from audit.canonical import NotCanonical, canonical

HERE = Path(__file__).parent
NOTHING = object()


def _validator(name: str) -> Draft202012Validator:
    schema = json.loads((HERE / f"{name}.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, format_checker=FormatChecker())


_INPUT = _validator("input")
_OUTPUT = _validator("output")


def check_input(facts: Mapping[str, Any]) -> None:
    """Refuse facts outside the contract: a rule must never meet a field that it does not know."""
    if errors := [_fault(error) for error in _INPUT.iter_errors(facts)]:
        raise PolicyRefused(
            f"The facts for the policy are not complete: {_first(errors)}. Nothing was decided.",
            errors=errors,
        )
    _canonical(facts, "The facts for the policy")


def check_output(answer: Any, *, facts: Mapping[str, Any], places: Mapping[str, str]) -> dict[str, Any]:
    """The answer with each rule's id replaced by its file and line; PolicyRefused when it is no answer."""
    if found := _misfits(json.dumps(answer, sort_keys=True)):
        errors = [dict(one) for one in found]
        raise _refused(f"{_blamed(answer, errors)}{_first(errors)}", errors)
    _canonical(answer, "The policy's answer")
    for stage in answer["require"]:
        _check_stage(stage, facts)
        _check_due(stage, ends=min(one["expires_in"] for one in answer["require"]))
    if not answer["require"] and not answer["deny"]:
        raise _refused("no rule demands an approval, and without one nothing can be complete", [])
    return _placed(answer, places)


@lru_cache(maxsize=512)
def _misfits(answer: str) -> list[dict[str, str]]:
    """Where an answer leaves the schema. Kept, since a replay meets the same few answers ten thousand times."""
    return [_fault(error) for error in _OUTPUT.iter_errors(json.loads(answer))]


def _check_stage(stage: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    rule = stage["why"]["rule"]
    if not stage["teams"] and not stage.get("users"):
        raise _refused(f"rule {rule} asks nobody for {stage['stage']}", [])
    for reading in stage["why"]["read"]:
        if canonical(lookup(facts, reading["path"])) != canonical(reading["value"]):
            raise _refused(
                f"rule {rule} says that {reading['path']} is {reading['value']!r}, which is not so", []
            )


def _check_due(stage: Mapping[str, Any], *, ends: int) -> None:
    rule = stage["why"]["rule"]
    if "escalate_to" in stage and "due_in" not in stage:
        raise _refused(f"rule {rule} escalates {stage['stage']} but does not say when it is due", [])
    if stage.get("due_in", 0) >= ends:
        raise _refused(f"rule {rule} makes {stage['stage']} due after the chain has expired", [])


def input_schema(path: str) -> Mapping[str, Any]:
    """What the contract says of the value at `input.service.tier`; empty where it says nothing."""
    rule: Mapping[str, Any] = _INPUT.schema  # type: ignore[assignment]
    for name in path.split(".")[1:]:
        rule = rule.get("properties", {}).get(name, {})
    return rule


def lookup(facts: Mapping[str, Any], path: str) -> Any:
    """The value at `input.service.tier`; None where there is none."""
    value: Any = facts
    for name in path.split(".")[1:]:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _placed(answer: dict[str, Any], places: Mapping[str, str]) -> dict[str, Any]:
    """`production-owner` becomes `production.rego:18`: the bundle has checked that each id is where it says."""
    placed: dict[str, Any] = json.loads(json.dumps(answer))
    for note in _notes(placed):
        if note["rule"] not in places:
            raise _refused(f"it names the rule {note['rule']}, which the bundle does not have", [])
        note["rule"] = places[note["rule"]]
    placed["require"].sort(key=lambda stage: (stage["order"], stage["stage"]))
    return placed


def _notes(answer: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for name in ("deny", "warn", "windows", "obligations"):
        yield from answer[name]
    for stage in answer["require"]:
        yield stage["why"]


def _canonical(value: Any, what: str) -> None:
    try:
        canonical(value)
    except NotCanonical as error:
        raise PolicyRefused(f"{what} cannot be recorded: {error}. Nothing was decided.") from error


def _fault(error: ValidationError) -> dict[str, str]:
    return {
        "pointer": "/" + "/".join(str(part) for part in error.absolute_path),
        "detail": error.message[:300],
    }


def _first(errors: list[dict[str, str]]) -> str:
    return f"{errors[0]['pointer']}: {errors[0]['detail']}"


def _blamed(answer: Any, errors: list[dict[str, str]]) -> str:
    """The rule at fault, where the answer is whole enough to tell."""
    try:
        part, index = errors[0]["pointer"].split("/")[1:3]
        item = answer[part][int(index)]
        return f"rule {item.get('why', item)['rule']}, "
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return ""


def _refused(cause: str, errors: list[dict[str, str]]) -> PolicyRefused:
    return PolicyRefused(
        f"The policy's answer cannot be used: {cause}. The change cannot proceed until the policy is mended.",
        errors=errors,
    )
