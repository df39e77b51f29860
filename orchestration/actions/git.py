"""`git`: reads a commit, sets a tag, or pushes a commit onto the very commit that was expected. Never forces.

Far repositories are reached through the door out, near ones only below the folder that the operator names. Nothing of
the machine's Git configuration is read, no hook of ours runs, no program is started.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from orchestration.actions import egress
from orchestration.actions.base import SECRET, ChildAction, Context, Effect, Result

ROOT = "COUNTERSIGN_GIT_ROOT"
COMMIT = {"type": "string", "pattern": "^[0-9a-f]{40}$(?!\\n)", "description": "a commit, by its whole name"}
REF = "(?!.*(\\.\\.|//|@\\{|/\\.|\\.lock(/|$)|[./]$))[A-Za-z0-9_][A-Za-z0-9_./+@-]{0,199}"
PATH = "(?!(.*/)?(\\.{0,2}|(?i:\\.git|git~[0-9]+))(/|$))[^\\x00-\\x1f\\\\-][^\\x00-\\x1f\\\\]*"
_TEXT = "^[^\\x00-\\x08\\x0b-\\x1f]*$(?!\\n)"
_NAME = {"type": "string", "pattern": "^[^\\x00-\\x1f<>]{1,200}$(?!\\n)"}
PERSON = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name", "email"],
    "properties": {"name": _NAME, "email": _NAME},
}


def _closed(required: list[str], properties: dict[str, Any], says: str) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": required,
        "properties": properties,
        "description": says,
    }


class Git(ChildAction):
    name = "git"
    summary = "Reads a commit, sets a tag, or pushes files onto the commit that was expected; never forces."
    plans = True
    inherits = (*egress.INHERITS, ROOT)
    schema: ClassVar[dict[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["repository"],
        "oneOf": [{"required": [one]} for one in ("checkout", "tag", "push")],
        "properties": {
            "repository": {
                "type": "string",
                "pattern": f"^({egress.BASE}|(file://)?/[^\\x00-\\x1f]*)$(?!\\n)",
                "maxLength": 500,
                "description": "an http or https address, or a path below `COUNTERSIGN_GIT_ROOT`",
            },
            "auth": _closed(
                ["user", "password"],
                {
                    "user": {"type": "string", "pattern": "^[^:\\x00-\\x1f]{1,200}$(?!\\n)"},
                    "password": SECRET,
                },
                "for an address; a token is a password",
            ),
            "checkout": _closed(
                ["branch", "commit"],
                {
                    "branch": {"type": "string", "pattern": f"^{REF}$(?!\\n)"},
                    "commit": COMMIT,
                    "outputs": {
                        "type": "object",
                        "maxProperties": 20,
                        "propertyNames": {"pattern": "^(?!(commit|tree)$)[a-z][a-z0-9_]{0,63}$(?!\\n)"},
                        "additionalProperties": {
                            "type": "string",
                            "pattern": f"^{PATH}$(?!\\n)",
                            "maxLength": 500,
                        },
                        "description": "files whose text becomes an output",
                    },
                },
                "the files of a commit, which has to be one of the branch; in a plan they become its artifacts",
            ),
            "tag": _closed(
                ["name", "commit"],
                {
                    "name": {"type": "string", "pattern": f"^{REF}$(?!\\n)"},
                    "commit": COMMIT,
                    "message": {"type": "string", "maxLength": 10_000, "pattern": _TEXT},
                    "tagger": PERSON,
                },
                "a tag that is not there yet; with a message and a tagger it is an annotated one",
            )
            | {"dependentRequired": {"message": ["tagger"], "tagger": ["message"]}},
            "push": _closed(
                ["branch", "expected", "message", "author"],
                {
                    "branch": {"type": "string", "pattern": f"^{REF}$(?!\\n)"},
                    "expected": {**COMMIT, "description": "where the branch has to stand"},
                    "files": {
                        "type": "object",
                        "maxProperties": 200,
                        "propertyNames": {"pattern": f"^{PATH}$(?!\\n)", "maxLength": 500},
                        "additionalProperties": {
                            "type": "object",
                            "additionalProperties": False,
                            "minProperties": 1,
                            "maxProperties": 1,
                            "properties": {
                                "file": {"type": "string", "pattern": f"^{PATH}$(?!\\n)", "maxLength": 500},
                                "text": {"type": "string", "maxLength": 100_000},
                            },
                        },
                        "description": "by their path there: one of the step's `files`, or a text",
                    },
                    "delete": {
                        "type": "array",
                        "maxItems": 200,
                        "items": {"type": "string", "pattern": f"^{PATH}$(?!\\n)", "maxLength": 500},
                    },
                    "message": {"type": "string", "minLength": 1, "maxLength": 10_000, "pattern": _TEXT},
                    "author": PERSON,
                },
                "one commit onto `expected`; refused when the branch stands elsewhere",
            ),
        },
    }

    def effect_of(self, with_: Mapping[str, Any]) -> Effect:
        """What is made is the same in every attempt, down to its name, and taken once."""
        return "read_only" if "checkout" in with_ else "idempotent"

    def run(self, context: Context) -> Result:
        from orchestration.actions import git_work  # its library is for the step's own process alone

        return git_work.run(context)
