"""A workflow's definition: validated values from strict YAML. Decides what is well-formed, never what may run.

The document lists inputs and steps in their author's order, because canonical JSON knows no order of keys. It must
never repair a definition, nor ignore a part that is not supported.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError

from audit.canonical import digest
from orchestration.actions import registry
from orchestration.actions.base import ProcessAction
from orchestration.definitions import beside, checks, flow, graph, inputs, limits, phases
from orchestration.definitions import source as sources
from orchestration.definitions.source import HIDING, BadDefinition, Source
from orchestration.definitions.substitution import BadReference, references, resolved
from orchestration.models import WorkflowVersion

DOMAIN = "countersign/workflow/v1"
SCHEMA = Path(__file__).with_name("workflow.schema.json")
MAX_FILES, MAX_FILES_BYTES = 50, 256_000
Problem = dict[str, str]


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
        return digest(DOMAIN, {"document": self.document, "files": self.files})


def schema() -> dict[str, Any]:
    """The published JSON Schema; editors complete against it."""
    found: dict[str, Any] = json.loads(SCHEMA.read_text())
    return found


def load(text: str, files: Mapping[str, str] | None = None) -> Definition:
    """A definition from its YAML; BadDefinition names every fault with line and column."""
    source = sources.read(text)
    _refuse(_misshapen(source))
    _refuse(list(_wrong_needs(source)))
    files = files or {}
    spec = source.value["spec"]
    _refuse(
        [
            *_wrong_phases(source),
            *(_problem(source, ("spec", *path), said) for path, said in flow.faults(spec)),
        ]
    )
    _refuse([*_wrong_inputs(source), *_wrong_steps(source, files), *_files(files, source)])
    return Definition(text, _listed(source.value), dict(files))


def load_folder(folder: Path) -> Definition:
    """`workflow.yaml` with the text files below `files/`; no link is followed."""
    beside = folder / "files"
    paths = [path for path in sorted(beside.rglob("*")) if path.is_file() and not path.is_symlink()]
    files = {path.relative_to(beside).as_posix(): path.read_text("utf-8") for path in paths}
    return load((folder / "workflow.yaml").read_text("utf-8"), files)


def document(version: WorkflowVersion) -> dict[str, Any]:
    """What a version says, in the shape that its author wrote: inputs and steps by name, in their order."""
    spec = version.document["spec"]
    asked = {one["name"]: one["schema"] for one in spec["inputs"]}
    steps = {
        step["key"]: {name: part for name, part in step.items() if name != "key"} for step in spec["steps"]
    }
    return {**version.document, "spec": {**spec, "inputs": asked, "steps": steps}}


def _refuse(problems: list[Problem]) -> None:
    if problems:
        more = f" And {len(problems) - 1} more." if len(problems) > 1 else ""
        raise BadDefinition(
            f"The definition was not accepted: {problems[0]['detail']}{more}", errors=problems[:50]
        )


def _problem(source: Source, path: sources.Path, detail: str) -> Problem:
    pointer = "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)
    return {"pointer": pointer, "detail": f"{source.at(path)}: {detail}"}


@cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(schema(), format_checker=FormatChecker())


def _misshapen(source: Source) -> list[Problem]:
    faults = sorted(_validator().iter_errors(source.value), key=lambda fault: str(list(fault.absolute_path)))
    return [_problem(source, path, words) for fault in faults[:20] for path, words in _told(fault)]


def _told(fault: ValidationError) -> Iterator[tuple[sources.Path, str]]:
    """Where a fault stands and what it is, in words."""
    path: sources.Path = tuple(fault.absolute_path)
    name, instance = ".".join(str(part) for part in path) or "the file", cast("Any", fault.instance)
    if fault.validator == "additionalProperties" and isinstance(fault.schema, dict):
        extra = [key for key in instance if key not in fault.schema.get("properties", {})]
        yield from (((*path, key), f"{name} takes no {key}.") for key in extra)
    elif fault.validator == "required" and isinstance(fault.validator_value, list):
        yield path, f"{name} lacks {next(key for key in fault.validator_value if key not in instance)}."
    elif fault.validator == "maxLength":
        yield path, f"{name} is longer than {fault.validator_value} characters."
    else:
        yield path, f"{name}: {fault.message}."[:300]


def _wrong_needs(source: Source) -> Iterator[Problem]:
    needs = {key: step.get("needs", []) for key, step in source.value["spec"]["steps"].items()}
    for key, place, detail in graph.faults(needs):
        yield _problem(source, ("spec", "steps", key, "needs", place), f"{detail}.")


def _wrong_phases(source: Source) -> Iterator[Problem]:
    for key, part, detail in phases.faults(source.value["spec"]["steps"]):
        yield _problem(source, ("spec", "steps", key, part), f"{key}: {detail}.")


def _wrong_inputs(source: Source) -> Iterator[Problem]:
    for name, rule in source.value["spec"].get("inputs", {}).items():
        if wrong := inputs.problem(rule):
            yield _problem(source, ("spec", "inputs", name), f"{name}: {wrong}.")


def _wrong_steps(source: Source, files: Mapping[str, str]) -> Iterator[Problem]:
    """Unknown references, unsafe retries, and whatever an action's own schema refuses."""
    spec = source.value["spec"]
    rules = spec.get("inputs", {})
    known = {"service", "environment", *(f"inputs.{name}" for name in rules)}
    yield from _unknown(source, ("spec", "summary"), spec["summary"], known | set(rules))
    for words in limits.beyond(limits.signed(spec, {}).get("limits", {})):
        yield _problem(source, ("spec", "limits"), f"{words}.")
    yield from _unknown(source, ("spec", "lock"), spec.get("lock"), known)
    for path, step, more in _works(spec):
        parts = ("title", "with", "env", "check")
        wrong = [
            one
            for name in parts
            for one in _unknown(source, (*path, name), step.get(name), known | set(more))
        ]
        places = {"service", "environment"}  # what a requester types never chooses a secret
        wrong += _unknown(source, (*path, "secrets"), step.get("secrets"), places)
        yield from wrong or _wrong_step(source, path, step, rules, more, files)


def _works(
    spec: Mapping[str, Any],
) -> Iterator[tuple[sources.Path, Mapping[str, Any], Mapping[str, Any]]]:
    """Whatever is done: each step and what undoes it, with its place and what its matrix lets it refer to."""
    for key, step in spec["steps"].items():
        path, more = ("spec", "steps", key), flow.known(step)
        yield path, step, more
        if "rollback" in step:
            yield (*path, "rollback"), step["rollback"], more


def _wrong_step(
    source: Source,
    path: sources.Path,
    step: Mapping[str, Any],
    rules: Mapping[str, Any],
    more: Mapping[str, Any],
    files: Mapping[str, str],
) -> Iterator[Problem]:
    """What is wrong with one step whose references are known; samples stand for what will be typed."""
    if "env" in step and "env" in step["with"]:
        yield _problem(source, (*path, "env"), "the step has two environments; keep one.")
    once = phases.effect(step, "at_most_once") == "at_most_once"
    if step.get("retries") and once and not step.get("retry_exit_codes"):
        words = "retries need effect: idempotent or reconcilable, or retry_exit_codes after which nothing has happened."
        yield _problem(source, (*path, "retries"), words)
    action = registry.get(step["uses"])
    if "secrets" in step and action is not None and not isinstance(action, ProcessAction):
        words = f"{step['uses']} runs in no process of its own, so it is given no secrets."
        yield _problem(source, (*path, "secrets"), words)
    for words in limits.beyond(limits.signed({}, step).get("limits", {})):
        yield _problem(source, (*path, "limits"), f"{words}.")
    for part, words in checks.faults(step, action):
        yield _problem(source, (*path, part) if part in step else path, f"{words}.")
    elsewhere = set(source.value["spec"]["environments"]) - (
        action.environments if action and action.environments else set()
    )
    if action and action.environments is not None and elsewhere:
        yield _problem(source, path, f"{step['uses']} is for {', '.join(sorted(action.environments))} only.")
    sample = {f"inputs.{name}": inputs.sample(name, rule) for name, rule in rules.items()}
    with_ = resolved(
        _given(step)["with"], {"service": "service", "environment": "environment", **sample, **more}
    )
    typed = {text for text in sample.values() if isinstance(text, str) and text.startswith("{{")}
    wrong = registry.validate(step["uses"], with_, later=typed)
    for detail in wrong:
        yield _problem(source, path, f"{detail}.")
    for place in beside.missing(action.reads(with_) if action and not wrong else (), files):
        if "{{" not in place:
            yield _problem(source, path, f"there is no {place} beside the workflow.")


def _unknown(source: Source, path: sources.Path, value: Any, known: set[str]) -> Iterator[Problem]:
    try:
        names = references(value)
    except BadReference as fault:
        yield _problem(source, path, str(fault))
        return
    for name in sorted(names - known):
        words = f"{{{{{name}}}}} refers to nothing; known are {', '.join(sorted(known))}."
        yield _problem(source, path, words)


def _files(files: Mapping[str, str], source: Source) -> Iterator[Problem]:
    """Scripts stay below the workflow's own folder and within a size that a person can review."""
    for name, text in files.items():
        if not _is_plain(name) or "\0" in text:
            yield _problem(source, (), f"the file {name!a} is not a text with a plain relative path.")
        if hidden := HIDING.search(text):
            words = f"{name} holds U+{ord(hidden[0]):04X}, which hides or turns round what is beside it."
            yield _problem(source, (), words)
    if len(files) > MAX_FILES or sum(len(text.encode()) for text in files.values()) > MAX_FILES_BYTES:
        words = f"a workflow has at most {MAX_FILES} files of {MAX_FILES_BYTES} bytes together."
        yield _problem(source, (), words)
    for path, step, _ in _works(source.value["spec"]):
        for place, name in enumerate(step.get("files", ())):
            if name not in files:
                yield _problem(source, (*path, "files", place), f"there is no file {name}.")


def _is_plain(name: str) -> bool:
    parts = name.split("/")
    return name.isprintable() and "\\" not in name and not any(part in {"", ".", ".."} for part in parts)


def _given(step: Mapping[str, Any]) -> dict[str, Any]:
    """The step, and what undoes it, with its environment where its action looks for it."""
    rest = {key: value for key, value in step.items() if key != "env"}
    if "rollback" in step:
        rest["rollback"] = _given(step["rollback"])
    return {**rest, "with": {**step["with"], "env": step["env"]}} if "env" in step else rest


def _listed(value: Mapping[str, Any]) -> dict[str, Any]:
    spec = value["spec"]
    asked = [{"name": name, "schema": rule} for name, rule in spec.get("inputs", {}).items()]
    steps = [{"key": key, **_given(step)} for key, step in spec["steps"].items()]
    return {**value, "spec": {**spec, "inputs": asked, "steps": steps}}
