"""What a workflow asks for: one JSON Schema (2020-12) from its inputs, and values that fit it. Pure.

It must never convert a value: a text that looks like a number is a text.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError

from audit.canonical import MAX_INTEGER
from audit.refusals import Invalid
from orchestration.definitions.source import CONTROL

MAX_LENGTH = 4096  # characters of a text whose author named no limit


class InputsInvalid(Invalid):
    """The inputs do not fit the workflow; each error names one by pointer."""

    code = "inputs_invalid"


def schema(document: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON Schema of all inputs; an input without a default must be given."""
    asked: Sequence[Mapping[str, Any]] = document["spec"]["inputs"]
    rules = {one["name"]: _placed(one["schema"], place) for place, one in enumerate(asked)}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": rules,
        "required": [name for name, rule in rules.items() if "default" not in rule],
        "additionalProperties": False,
    }


def problem(rule: Mapping[str, Any]) -> str:
    """What is wrong with one input's schema; empty when nothing is."""
    try:
        Draft202012Validator.check_schema(rule)
    except SchemaError as error:
        return error.message
    if "default" in rule:
        errors = list(Draft202012Validator(rule).iter_errors(rule["default"]))
        return f"its default does not fit: {errors[0].message}" if errors else ""
    return ""


def sample(name: str, rule: Mapping[str, Any]) -> Any:
    """A value that may come for this input, to try an action's schema with; a text stays its own reference."""
    for keyword in ("const", "default"):
        if keyword in rule:
            return rule[keyword]
    for keyword in ("enum", "examples"):
        if rule.get(keyword):
            return rule[keyword][0]
    return {"integer": rule.get("minimum", 1), "boolean": True}.get(rule["type"], f"{{{{inputs.{name}}}}}")


def fit(document: Mapping[str, Any], given: Any) -> dict[str, Any]:
    """The given values with defaults filled in, in the order of the workflow; InputsInvalid when they do not fit."""
    if not isinstance(given, Mapping):
        raise _refused([{"pointer": "/inputs", "detail": "Give the inputs as an object."}])
    rules = schema(document)
    defaults = {name: rule["default"] for name, rule in rules["properties"].items() if "default" in rule}
    values = {**defaults, **given}
    errors = sorted(Draft202012Validator(rules).iter_errors(values), key=lambda error: error.json_path)
    faults = [_fault(error, rules, values) for error in errors] + _unclean(rules, values) + _inexact(values)
    if faults:
        raise _refused(faults)
    return {name: values[name] for name in rules["properties"]}


def _placed(rule: Mapping[str, Any], place: int) -> dict[str, Any]:
    """Ready for a form: its place, and a limit for a text that has none."""
    limit = {"maxLength": MAX_LENGTH} if rule["type"] == "string" and "maxLength" not in rule else {}
    return {**rule, **limit, "x-ui": {**rule.get("x-ui", {}), "order": place}}


def _fault(error: ValidationError, rules: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, str]:
    """One fault in words that a requester understands, with the field it belongs to."""
    name = str(next(iter(error.absolute_path), ""))
    if error.validator == "required":
        name = next(one for one in rules["required"] if one not in values and f"'{one}'" in error.message)
    if error.validator == "additionalProperties":
        name = next(str(one) for one in values if one not in rules["properties"])
    title = rules["properties"].get(name, {}).get("title", name)
    said = {
        "required": f"{title} is missing.",
        "additionalProperties": f"This workflow has no input {name[:60]!a}.",
        "pattern": f"{title} does not have the expected form.",
        "enum": f"{title} is not one of the choices.",
        "type": f"{title} must be of the type {error.validator_value}.",
    }
    detail = said.get(str(error.validator), f"{title}: {error.message}."[:300])
    return {"pointer": f"/inputs/{name[:200]}", "detail": detail}


def _unclean(rules: Mapping[str, Any], values: Mapping[str, Any]) -> list[dict[str, str]]:
    """Texts that hide something: control characters, or a line end where a pattern asks for one line.

    `$` of a pattern also matches before a last line end, so a pattern alone would let one pass.
    """
    return [
        {
            "pointer": f"/inputs/{name}",
            "detail": "This holds a control character, one that hides, or a line end.",
        }
        for name, value in values.items()
        if isinstance(value, str)
        and name in rules["properties"]
        and not _clean(value, rules["properties"][name])
    ]


def _inexact(values: Mapping[str, Any]) -> list[dict[str, str]]:
    """Numbers that two readers could read differently: `1.0` is an integer to JSON Schema, and none to us."""
    return [
        {"pointer": f"/inputs/{name}", "detail": "Give a whole number that is not too large."}
        for name, value in values.items()
        if isinstance(value, float) or (isinstance(value, int) and abs(value) > MAX_INTEGER)
    ]


def _clean(value: str, rule: Mapping[str, Any]) -> bool:
    one_line = "pattern" in rule or rule["x-ui"].get("widget") not in {"textarea", "code"}
    return not CONTROL.search(value) and not (one_line and ("\n" in value or "\r" in value or "\t" in value))


def _refused(faults: list[dict[str, str]]) -> InputsInvalid:
    return InputsInvalid(f"Nothing was sent. {faults[0]['detail']}", errors=faults)
