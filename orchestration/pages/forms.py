"""A form from a JSON Schema: fields to draw, and typed values back. Never decides whether a value is valid."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

PREFIX = "inputs."  # keeps a workflow's own names apart from the form's


@dataclass
class Field:
    """One input to draw. `widget` is text, textarea, number, checkbox, radio or select."""

    name: str
    label: str
    widget: str
    hint: str = ""
    required: bool = False
    value: Any = ""
    options: list[tuple[str, str]] = field(default_factory=list)
    attributes: dict[str, str] = field(default_factory=dict)
    error: str = ""

    @property
    def id(self) -> str:
        return "f-" + self.name.replace(".", "-")


def fields(schema: Mapping[str, Any], given: Mapping[str, Any], errors: Iterable[Mapping[str, str]]) -> list[Field]:
    """The fields of an object schema, in its order, with the values and errors of the last try."""
    said = {error["pointer"].removeprefix("/inputs/"): error["detail"] for error in errors}
    required = set(schema.get("required", ()))
    return [
        _field(name, spec, name in required, given.get(name, spec.get("default", "")), said.get(name, ""))
        for name, spec in schema.get("properties", {}).items()
    ]


def values(schema: Mapping[str, Any], posted: Mapping[str, str]) -> dict[str, Any]:
    """What was typed, as the types of the schema; text that is no number stays text and fails validation."""
    typed: dict[str, Any] = {}
    for name, spec in schema.get("properties", {}).items():
        text = posted.get(PREFIX + name, "")
        if spec.get("type") == "boolean":
            typed[name] = text in {"on", "true"}
        elif text != "":
            typed[name] = _typed(text, spec)
    return typed


def _typed(text: str, spec: Mapping[str, Any]) -> Any:
    if spec.get("type") == "integer":
        try:
            return int(text)
        except ValueError:
            return text
    if spec.get("type") == "array":
        return [line.strip() for line in text.splitlines() if line.strip()]
    return text


def _field(name: str, spec: Mapping[str, Any], required: bool, value: Any, error: str) -> Field:
    options = [(str(option), str(option)) for option in spec.get("enum", ())]
    examples = ", ".join(str(example) for example in spec.get("examples", ()))
    hint = spec.get("description", "") or (f"For example {examples}" if examples else "")
    return Field(
        name=PREFIX + name,
        label=spec.get("title", name.replace("_", " ").capitalize()),
        widget=_widget(spec, options),
        hint=hint,
        required=required,
        value="\n".join(value) if isinstance(value, list) else value,
        options=options,
        attributes=_attributes(spec),
        error=error,
    )


def _widget(spec: Mapping[str, Any], options: list[tuple[str, str]]) -> str:
    if options:
        return "radio" if len(options) <= 4 else "select"  # more than four choices scan better as a list
    kinds = {"boolean": "checkbox", "integer": "number", "array": "textarea"}
    if spec.get("maxLength", 0) > 200:
        return "textarea"
    return kinds.get(spec.get("type", ""), "text")


def _attributes(spec: Mapping[str, Any]) -> dict[str, str]:
    names = {"pattern": "pattern", "minimum": "min", "maximum": "max", "maxLength": "maxlength"}
    return {html: str(spec[key]) for key, html in names.items() if key in spec}
