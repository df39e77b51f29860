"""`manual`: a person does it and says so. The engine waits; nothing runs, and no worker is held."""

from collections.abc import Mapping
from typing import Any, ClassVar

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

from accounts.models import Team
from orchestration.actions.base import Action

OTHERS, ANYONE = "others", "anyone"
OUTPUT: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["type"],
    "properties": {
        "type": {"enum": ["string", "integer", "boolean"]},
        "title": {"type": "string", "maxLength": 100},
        "description": {"type": "string", "maxLength": 500},
        "enum": {"type": "array", "minItems": 1, "maxItems": 200, "items": {"type": ["string", "integer"]}},
        "pattern": {"type": "string", "maxLength": 500},
        "minLength": {"type": "integer", "minimum": 0},
        "maxLength": {"type": "integer", "minimum": 0, "maximum": 4096},
        "minimum": {"type": "integer"},
        "maximum": {"type": "integer"},
    },
}


class Manual(Action):
    name = "manual"
    summary = "Asks a person to do something, and to say that it is done."
    asks = True
    timeout = "72h"
    schema: ClassVar[dict[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["instructions"],
        "properties": {
            "instructions": {
                "type": "string",
                "minLength": 1,
                "maxLength": 10_000,
                "description": "what to do, as it was signed",
            },
            "team": {
                "type": "string",
                "maxLength": 50,
                "description": "whose people tick it off; left out, whoever operates the service",
            },
            "by": {
                "enum": [OTHERS, ANYONE],
                "description": "others, where it is left out: neither who asked for the change nor who wrote it",
            },
            "note": {"enum": ["required", "optional"], "description": "a sentence on what was done"},
            "outputs": {
                "type": "object",
                "maxProperties": 20,
                "propertyNames": {"pattern": "^[a-z][a-z0-9_]{0,48}$"},
                "additionalProperties": OUTPUT,
                "description": "what the person fills in, for later steps to read",
            },
        },
    }

    def faults(self, with_: Mapping[str, Any]) -> dict[str, str]:
        found = {}
        if "team" in with_ and not Team.objects.filter(slug=with_["team"]).exists():
            found["team"] = f"There is no team {with_['team']}."
        for name, rule in with_.get("outputs", {}).items():
            try:
                Draft202012Validator.check_schema(rule)
            except SchemaError as error:
                found["outputs"] = f"{name}: {error.message}"
        return found
