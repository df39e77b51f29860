"""`command`: a program with its arguments. Nothing a person typed ever reaches a shell."""

from collections.abc import Mapping
from typing import Any, ClassVar

from orchestration.actions.base import ProcessAction, Spawn

# Variables through which a workflow could make a program run something else.
REFUSED = (
    r"^(?!(PATH|HOME|IFS|ENV|BASH_.*|LD_.*|PYTHON.*|PERL.*|RUBY.*|NODE_.*|GIT_.*|STEP.*|COUNTERSIGN_.*)$)"
)


class Command(ProcessAction):
    name = "command"
    summary = "Runs a program with its arguments, in a supervised process tree."
    plans = True
    schema: ClassVar[dict[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["argv"],
        "properties": {
            "argv": {
                "type": "array",
                "minItems": 1,
                "maxItems": 200,
                "items": {"type": "string", "maxLength": 32_768},
            },
            "env": {
                "type": "object",
                "maxProperties": 50,
                "propertyNames": {"pattern": REFUSED + r"[A-Z_][A-Z0-9_]*$"},
                "additionalProperties": {"type": "string", "maxLength": 32_768},
            },
            "success_codes": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 255}},
        },
    }

    def spawn(self, with_: Mapping[str, Any]) -> Spawn:
        return Spawn(
            argv=tuple(with_["argv"]),
            env=dict(with_.get("env", {})),
            success_codes=tuple(with_.get("success_codes", (0,))),
        )
