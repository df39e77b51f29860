"""A workflow's definition: validated values from strict YAML. Decides what is well-formed, never what may run."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

from audit.canonical import digest
from orchestration import actions
from orchestration.definitions import source as sources
from orchestration.definitions.source import BadDefinition, Source
from orchestration.definitions.substitution import BadReference, references
from orchestration.models import WorkflowVersion

NOT_YET = {
    "when": "conditions are not supported yet",
    "phase": "plan steps are not supported yet",
    "rollback": "rollback steps are not supported yet",
    "lock": "run-level locks are not supported yet",
}
SCHEMA = Path(__file__).with_name("workflow.schema.json")
MAX_FILES_BYTES = 512_000
KNOWN = {"service", "environment"}


@dataclass(frozen=True)
class Definition:
    """One well-formed definition with the scripts beside it."""

    text: str
    document: dict[str, Any]
    files: dict[str, str]

    @property
    def slug(self) -> str:
        return str(self.document["metadata"]["name"])

    @property
    def digest(self) -> str:
        """Names the version: everything that its author wrote and that can alter what runs."""
        return digest("countersign/workflow/v1", {"document": self.document, "files": self.files})


@cache
def schema() -> Draft202012Validator:
    """The published schema; editors complete against it."""
    return Draft202012Validator(json.loads(SCHEMA.read_text()))


def load(text: str, files: Mapping[str, str] | None = None) -> Definition:
    """A definition from its YAML; BadDefinition names every fault with line and column."""
    source = sources.read(text)
    problems = [*_not_yet(source), *_misshapen(source)] or [
        *_graph(source),
        *_inputs(source),
        *_steps(source),
    ]
    problems += _files(files or {}, source) if not problems else []
    if problems:
        raise BadDefinition(
            f"The definition was not accepted: {problems[0]['detail']}"
            + (f" And {len(problems) - 1} more." if len(problems) > 1 else ""),
            errors=problems,
        )
    return Definition(text, source.value, dict(files or {}))


@lru_cache(maxsize=256)
def _read(text: str) -> dict[str, Any]:
    value: dict[str, Any] = sources.read(text).value
    return value


def document(version: WorkflowVersion) -> dict[str, Any]:
    """The definition in its author's order, which a column of JSON does not keep."""
    return _read(version.source)


def inputs_schema(document: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON Schema of a request's inputs: closed, and whatever has no default is required."""
    inputs = document["spec"].get("inputs", {})
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": inputs,
        "required": [name for name, rule in inputs.items() if "default" not in rule],
    }


def _problem(source: Source, path: sources.Path, detail: str) -> dict[str, str]:
    return {"pointer": "".join(f"/{part}" for part in path), "detail": f"{source.at(path)}: {detail}"}


def _not_yet(source: Source) -> list[dict[str, str]]:
    """What a later version will understand is refused by name, not ignored."""
    return [
        _problem(source, path, f"{path[-1]}: {NOT_YET[str(path[-1])]}; take it out.")
        for path in source.places
        if path and path[-1] in NOT_YET and (len(path) == 4 or path == ("spec", "lock"))
        and "inputs" not in path
    ]  # fmt: skip


def _misshapen(source: Source) -> list[dict[str, str]]:
    faults = sorted(schema().iter_errors(source.value), key=lambda fault: str(list(fault.absolute_path)))
    return [_problem(source, tuple(fault.absolute_path), f"{fault.message}.") for fault in faults[:20]]


def _graph(source: Source) -> list[dict[str, str]]:
    """Dangling and circular needs. A cycle is what is left when every startable step is taken away."""
    steps = source.value["spec"]["steps"]
    problems = [
        _problem(source, ("spec", "steps", key, "needs", index), f"there is no step named {need}.")
        for key, step in steps.items()
        for index, need in enumerate(step.get("needs", ()))
        if need not in steps
    ]
    if problems:
        return problems
    left = {key: set(step.get("needs", ())) for key, step in steps.items()}
    while free := [key for key, needs in left.items() if not needs & left.keys()]:
        for key in free:
            del left[key]
    return [
        _problem(source, ("spec", "steps", key), f"{key} waits for itself through {', '.join(sorted(left))}.")
        for key in list(left)[:1]
    ]


def _inputs(source: Source) -> list[dict[str, str]]:
    problems = []
    for name, rule in source.value["spec"].get("inputs", {}).items():
        path: sources.Path = ("spec", "inputs", name)
        try:
            Draft202012Validator.check_schema(rule)
        except SchemaError as fault:
            problems.append(_problem(source, path, f"{fault.message}."))
            continue
        if "default" in rule and list(Draft202012Validator(rule).iter_errors(rule["default"])):
            problems.append(_problem(source, (*path, "default"), "the default does not fit its own schema."))
    return problems


def _steps(source: Source) -> list[dict[str, str]]:
    """Unknown actions and references, and what an action's schema refuses where nothing is substituted."""
    inputs = source.value["spec"].get("inputs", {})
    known = KNOWN | {f"inputs.{name}" for name in inputs}
    problems = _unknown(source, ("spec", "summary"), source.value["spec"]["summary"], known)
    for key, step in source.value["spec"]["steps"].items():
        path: sources.Path = ("spec", "steps", key)
        problems += _unknown(source, (*path, "with"), step["with"], known)
        if actions.get(step["uses"]) is None or not _refers(step["with"]):
            wrong = actions.validate(step["uses"], step["with"])
            problems += [_problem(source, path, f"{one}.") for one in wrong]
    return problems


def _unknown(source: Source, path: sources.Path, value: Any, known: set[str]) -> list[dict[str, str]]:
    try:
        names = references(value)
    except BadReference as fault:
        return [_problem(source, path, str(fault))]
    return [
        _problem(source, path, f"{{{{{name}}}}} refers to nothing; known are {', '.join(sorted(known))}.")
        for name in sorted(names - known)
    ]


def _refers(value: Any) -> bool:
    return bool(references(value))


def _files(files: Mapping[str, str], source: Source) -> list[dict[str, str]]:
    """Scripts stay below the workflow's own folder and within a size that a person can review."""
    problems = [
        _problem(source, (), f"the file {name!r} is not a plain relative path.")
        for name in files
        if name.startswith("/") or ".." in name.split("/") or "\\" in name or not name.isprintable()
    ]
    if sum(len(text.encode()) for text in files.values()) > MAX_FILES_BYTES:
        problems.append(_problem(source, (), f"its files are larger than {MAX_FILES_BYTES} bytes together."))
    missing = {
        (key, name)
        for key, step in source.value["spec"]["steps"].items()
        for name in step.get("files", ())
        if name not in files
    }
    path: sources.Path = ("spec", "steps")
    return problems + [
        _problem(source, (*path, key, "files"), f"there is no file {name}.") for key, name in missing
    ]
