"""`summary.json`: what a plan step says that it would change, read strictly, riskiest first. Pure.

It is the step's own word and steers what is looked at first; what runs is the artifacts, to the byte. What does not
fit the schema is no summary: it must never be repaired, only shown as the text that it is.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

NAME = "summary.json"
SCHEMA = Path(__file__).with_name("summary.schema.json")
MAX_BYTES = 2_000_000
DESTROYS = ("delete", "replace")
RISKS = {"delete": "high", "replace": "high", "read": "low"}
RISK_ORDER = ("high", "medium", "low")
ACTION_ORDER = ("delete", "replace", "run", "update", "create", "read")
Item = dict[str, Any]


def schema() -> dict[str, Any]:
    """The published JSON Schema."""
    found: dict[str, Any] = json.loads(SCHEMA.read_text())
    return found


def read(data: bytes) -> list[Item] | None:
    """Each thing that would change, riskiest first; None when this is no summary."""
    if len(data) > MAX_BYTES:
        return None
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if next(_validator().iter_errors(value), None) is not None:
        return None
    items = [
        {"risk": RISKS.get(one["action"], "medium"), "irreversible": False, **one} for one in value["changes"]
    ]
    return sorted(items, key=riskiest)


def counts(items: list[Item]) -> dict[str, int]:
    """How much would change, and how much of it is destroyed: deleted, replaced, or never to be brought back."""
    return {
        "changes": sum(one["action"] != "read" for one in items),
        "destroys": sum(destroys(one) for one in items),
    }


def destroys(item: Item) -> bool:
    return bool(item["irreversible"] or item["action"] in DESTROYS)


def riskiest(item: Item) -> tuple[bool, int, int]:
    """Irreversible first, then what is deleted or replaced, then by the risk that the step itself tells."""
    destroyed = item["action"] in DESTROYS
    return (
        not item["irreversible"],
        ACTION_ORDER.index(item["action"]) if destroyed else len(DESTROYS),
        RISK_ORDER.index(item["risk"]) * len(ACTION_ORDER) + ACTION_ORDER.index(item["action"]),
    )


@cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(schema())
