"""Parts of schemas that several actions share: closed by a pattern, bounded, never an option of a program.

A value that a person typed becomes one argument. What begins with a dash, or holds a line end, is refused here.
"""

from typing import Any

END = r"$(?!\n)"  # a plain $ would let one line end pass
_PART = "[A-Za-z0-9_][A-Za-z0-9_.-]*"

# A file or a folder beside the workflow: no part begins with a dot or a dash, so none leads out.
PATH = {"type": "string", "maxLength": 200, "pattern": rf"^{_PART}(/{_PART})*{END}"}
NAME = {"type": "string", "maxLength": 200, "pattern": rf"^[A-Za-z0-9_][A-Za-z0-9_.:/@+-]*{END}"}
LABEL = {
    "type": "string",
    "maxLength": 63,
    "pattern": rf"^[a-z0-9]([a-z0-9-]*[a-z0-9])?{END}",
}  # of Kubernetes
SCALAR = {"type": ["string", "integer", "boolean"], "maxLength": 32_768}


def listed(item: dict[str, Any], *, most: int) -> dict[str, Any]:
    """At most this many of them, each once."""
    return {"type": "array", "maxItems": most, "uniqueItems": True, "items": item}


def named(pattern: str, item: dict[str, Any], *, most: int) -> dict[str, Any]:
    """Values by name, each name of this pattern."""
    return {
        "type": "object",
        "maxProperties": most,
        "propertyNames": {"pattern": f"^{pattern}{END}"},
        "additionalProperties": item,
    }
