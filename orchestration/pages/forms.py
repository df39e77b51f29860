"""What was typed into a form, as the types of its JSON Schema. Never decides whether a value is valid."""

from collections.abc import Mapping
from typing import Any

PREFIX = "inputs."  # keeps a workflow's own names apart from the form's


def values(schema: Mapping[str, Any], posted: Mapping[str, str]) -> dict[str, Any]:
    """Typed values; text that does not read as its type stays text, so that validation can say what is wrong."""
    typed: dict[str, Any] = {}
    for name, rule in schema.get("properties", {}).items():
        text = posted.get(PREFIX + name, "")
        if rule.get("type") == "boolean":
            typed[name] = text == "true"
        elif text != "":
            typed[name] = _typed(text, rule)
    return typed


def _typed(text: str, rule: Mapping[str, Any]) -> Any:
    if rule.get("type") == "integer":
        try:
            return int(text)
        except ValueError:
            return text
    if rule.get("type") == "array":
        return [line.strip() for line in text.splitlines() if line.strip()]
    return text
