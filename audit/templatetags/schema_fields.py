"""Form fields from a JSON Schema: what to draw, never what is valid (the schema itself decides that).

Names are `inputs.<property>`; ids are the JSON pointer with dashes, so an error finds its field.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

RADIO_MAX = 4  # more choices than this are easier to read in a list


@dataclass(frozen=True)
class Field:
    name: str
    id: str
    label: str
    kind: str  # text, number, select, radio, boolean, textarea
    hint: str = ""
    example: str = ""
    value: str = ""
    checked: bool = False
    required: bool = False
    options: tuple[tuple[str, str, bool], ...] = ()  # value, label, chosen
    error: str = ""
    attributes: tuple[tuple[str, str], ...] = ()
    mono: bool = False

    @property
    def wide(self) -> bool:
        return self.kind in {"textarea", "radio"}

    @property
    def described_by(self) -> str:
        parts = [f"{self.id}-hint"] if self.hint or self.example else []
        return " ".join([*parts, f"{self.id}-error"] if self.error else parts)


def field_id(pointer: str) -> str:
    """The id of the field that a JSON pointer names: `/inputs/version` -> `f-inputs-version`."""
    return "f" + pointer.replace("/", "-").replace("~1", "-").replace("~0", "-")


def fields(
    schema: Mapping[str, Any],
    values: Mapping[str, Any] | None = None,
    errors: Iterable[Mapping[str, str]] = (),
    prefix: str = "inputs",
) -> list[Field]:
    """One field for each property, in the order of `x-ui.order` or of the schema."""
    details = {error.get("pointer", ""): error.get("detail", "") for error in errors}
    required = set(schema.get("required", ()))
    named = sorted(schema.get("properties", {}).items(), key=lambda pair: _order(pair[1]))
    return [
        _field(name, rule, (values or {}).get(name), name in required, details, prefix)
        for name, rule in named
    ]


def _order(rule: Mapping[str, Any]) -> int:
    return int(rule.get("x-ui", {}).get("order", 0))


def _field(
    name: str, rule: Mapping[str, Any], value: Any, required: bool, details: dict[str, str], prefix: str
) -> Field:
    pointer = f"/{prefix}/{name}"
    value = rule.get("default") if value is None else value
    kind = _kind(rule)
    return Field(
        name=f"{prefix}.{name}",
        id=field_id(pointer),
        label=str(rule.get("title") or name.replace("_", " ").capitalize()),
        kind=kind,
        hint=str(rule.get("description", "")),
        example=_example(rule),
        value="" if value is None or kind == "boolean" else str(value),
        checked=kind == "boolean" and str(value).lower() in {"true", "on", "1"},
        required=required and kind != "boolean",
        options=tuple(
            (one, label, value is not None and one == str(value)) for one, label in _labelled(rule)
        ),
        error=details.get(pointer, ""),
        attributes=tuple(_attributes(rule)),
        mono=bool(rule.get("pattern")) or rule.get("x-ui", {}).get("widget") == "code",
    )


def _choices(rule: Mapping[str, Any]) -> list[Any]:
    if "const" in rule:
        return [rule["const"]]
    return list(rule.get("enum", ()))


def _labelled(rule: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Value and words: records that a page offers (`x-options`), or what the schema itself allows."""
    if "x-options" in rule:
        return [(value, label) for value, label in rule["x-options"]]
    return [(str(one), str(one)) for one in _choices(rule)]


def _kind(rule: Mapping[str, Any]) -> str:
    widget = rule.get("x-ui", {}).get("widget")
    if choices := _choices(rule):
        return (
            "radio" if widget == "radio" or (widget != "select" and len(choices) <= RADIO_MAX) else "select"
        )
    if "x-options" in rule:
        return "select"
    if rule.get("type") == "boolean":
        return "boolean"
    if rule.get("type") in {"integer", "number"}:
        return "number"
    long = int(rule.get("maxLength", 0)) > 200 or rule.get("type") in {"array", "object"}
    return "textarea" if widget == "textarea" or long else "text"


def _example(rule: Mapping[str, Any]) -> str:
    examples = rule.get("examples") or ()
    return str(examples[0]) if examples else ""


ATTRIBUTES = {
    "minimum": "min",
    "maximum": "max",
    "multipleOf": "step",
    "minLength": "minlength",
    "maxLength": "maxlength",
}


def _attributes(rule: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """The limits a browser can show; `pattern` is left to the server, whose sentence is better."""
    for keyword, attribute in ATTRIBUTES.items():
        if keyword in rule:
            yield attribute, str(rule[keyword])
