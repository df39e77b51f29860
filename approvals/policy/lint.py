"""What a bundle must say about itself: each rule that answers has an id, a title and a true place.

Faults refuse the bundle, warnings do not. It must never evaluate a rule.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from approvals.policy.engine import Fault, PolicyRefused, Rule, Sources

ANSWERS = {"deny", "require", "warn", "windows", "obligations"}
ENTRY_PACKAGE = "countersign.change"
METADATA_BYTES = 4000
PLAIN_METADATA = re.compile(r"^[^&*]*$", re.DOTALL)  # no YAML anchors or aliases


@dataclass(frozen=True)
class Annotated:
    """A rule that answers, with what its author wrote above it."""

    id: str
    title: str
    description: str
    answers: str
    place: str


@dataclass(frozen=True)
class Warned:
    """Something that a reader of the bundle should know; it stops nothing."""

    place: str
    message: str


def annotate(rules: list[Rule], sources: Sources) -> list[Annotated]:
    """Every answering rule with its metadata; PolicyRefused when an id is missing, double or untrue."""
    named: list[Annotated] = []
    faults: list[Fault] = []
    for rule in rules:
        if not _is_test(rule) and _must_name(rule):
            try:
                named.append(_annotated(rule, sources))
            except PolicyRefused as refused:
                faults += refused.faults
    faults += _doubles(named)
    if faults:
        raise PolicyRefused(f"{faults[0].place}: {faults[0].message}", faults=faults)
    return named


def places(annotated: list[Annotated]) -> dict[str, str]:
    """Rule id -> `production.rego:18`."""
    return {one.id: one.place for one in annotated}


def warnings(rules: list[Rule]) -> list[Warned]:
    """Rules whose demands depend on what the requester typed, directly or through another rule."""
    judged = [rule for rule in rules if not _is_test(rule)]
    claimed = _reached_by_claims(judged)
    return [
        Warned(rule.place, f"{rule.name} reads what the requester claims; a chain should rest on facts")
        for rule in judged
        if _answers(rule) and rule.name.split(".")[0] in {"require", "deny"} and _path(rule) in claimed
    ]


def _annotated(rule: Rule, sources: Sources) -> Annotated:
    meta = _metadata(sources[rule.file], rule)
    identity = str((meta.get("custom") or {}).get("rule") or "")
    if not identity or not meta.get("title"):
        raise _fault(rule, "needs METADATA with a title and custom.rule, the id that its answers carry")
    if not rule.says:
        raise _fault(rule, f'writes no "rule"; its answers must carry "{identity}"')
    for said in rule.says:
        if said != identity:
            raise _fault(
                rule, f'writes "rule": {said!r}; it must be the constant "{identity}" of its metadata'
            )
    description = str(meta.get("description") or "").strip()
    return Annotated(identity, str(meta["title"]), description, rule.name.split(".")[0], rule.place)


def _must_name(rule: Rule) -> bool:
    return bool(rule.says) or (_answers(rule) and not rule.empty)


def _answers(rule: Rule) -> bool:
    return rule.package == ENTRY_PACKAGE and rule.name.split(".")[0] in ANSWERS


def _is_test(rule: Rule) -> bool:
    return rule.file.endswith("_test.rego")


def _metadata(text: str, rule: Rule) -> dict[str, Any]:
    """The YAML of the comment block right above the rule."""
    block: list[str] = []
    for line in reversed(text.splitlines()[: rule.line - 1]):
        if line.strip() == "# METADATA":
            break
        if not line.startswith("#"):
            return {}
        block.insert(0, line.removeprefix("#").removeprefix(" "))
    else:
        return {}
    source = "\n".join(block)
    if len(source) > METADATA_BYTES or not PLAIN_METADATA.match(source):
        raise _fault(rule, "its METADATA is too long or uses anchors")
    try:
        meta = yaml.safe_load(source)
    except yaml.YAMLError as error:
        raise _fault(rule, "its METADATA is not YAML") from error
    return meta if isinstance(meta, dict) else {}


def _doubles(annotated: list[Annotated]) -> Iterator[Fault]:
    seen: dict[str, Annotated] = {}
    for one in annotated:
        if one.id in seen:
            file, _, line = one.place.rpartition(":")
            yield Fault(file, int(line), f"The rule id {one.id} stands at {seen[one.id].place} already.")
        seen.setdefault(one.id, one)


def _reached_by_claims(rules: list[Rule]) -> set[str]:
    """Rules that read claims, and rules that use those, to the last."""
    reached = {_path(rule) for rule in rules if any(_claimed(one) for one in rule.reads)}
    while True:
        more = {_path(rule) for rule in rules if any(_uses(one, reached) for one in rule.uses)} - reached
        if not more:
            return reached
        reached |= more


def _claimed(path: str) -> bool:
    """Reading all of the input, or a part that is chosen at run time, may read the claims."""
    return path == "input" or path.split(".")[1] in {"claims", "_"}


def _uses(path: str, reached: set[str]) -> bool:
    return any(path == one or path.startswith(one + ".") or one.startswith(path + ".") for one in reached)


def _path(rule: Rule) -> str:
    return f"data.{rule.package}.{rule.name}"


def _fault(rule: Rule, cause: str) -> PolicyRefused:
    said = f"{rule.name} {cause}."
    return PolicyRefused(f"{rule.place}: {said}", faults=[Fault(rule.file, rule.line, said)])
