"""What a reviewer must know first: six facts, and what is unlike the usual. Computed from records, never typed."""

import json
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from approvals.calendar.words import words
from approvals.models import Decision
from audit.canonical import parse
from orchestration.asking import window_of
from orchestration.definitions import phases
from orchestration.definitions.digest import emergency_of
from orchestration.definitions.undo import rolled_back
from orchestration.definitions.workflow import document as definition_of
from orchestration.engine.flow import foreseen
from orchestration.models import Change, Plan, Revision, Run
from orchestration.models.secret import LATEST
from orchestration.pages import attached, way

COMPARED = 20  # how many earlier changes of the same workflow and service "the usual" is
ENOUGH = 3  # fewer earlier changes than this are no habit to differ from
MAX_FLAGS = 5  # more questions than this become a ritual
EFFECTS = {
    "at_most_once": "Runs once; cannot be repeated by itself",
    "reconcilable": "Checks whether it already happened before it repeats",
    "idempotent": "Safe to repeat",
    "read_only": "Only reads",
}

Content = Revision | Plan
Fact = dict[str, str]  # the context of templates/components/facts.html


def document(revision: Content) -> dict[str, Any]:
    """What was signed, from its very bytes."""
    value: dict[str, Any] = parse(bytes(revision.document))
    return value


def decision_of(revision: Content) -> Decision:
    """What policy said: of a plan, before it knew what would be found."""
    return revision.decision if isinstance(revision, Plan) else revision.chain.decision


def incident(revision: Content) -> str:
    """What an emergency answers to, in visible characters; empty for a normal change."""
    emergency = emergency_of(bytes(revision.document))
    return _visible(emergency.incident) if emergency else ""


def steps(revision: Content) -> list[dict[str, Any]]:
    """The resolved steps as signed, riskiest effect first."""
    order = ["at_most_once", "reconcilable", "idempotent", "read_only"]
    return sorted(document(revision)["steps"], key=lambda step: order.index(step["effect"]))


def plan(revision: Content) -> list[dict[str, Any]]:
    """What will run, riskiest first: the resolved step and the very words it is called with."""
    signed = steps(revision)
    omitted = foreseen(document(revision))
    told = [{**planned(step), "omitted": step["key"] in omitted} for step in signed]
    handed = document(revision)["secrets"]
    for one in told:
        one["secrets"] = [_secret(secret) for secret in handed if secret["step"] == one["key"]]
    return way.plan(told, {step["key"]: step for step in signed})


def _secret(one: dict[str, str]) -> str:
    """Which value a step is given, and whether it is held to it."""
    which = "whatever is newest at the start" if one["version"] == LATEST else f"version {one['version']}"
    return f"{one['name']}: {one['path']}, {which}"


def planned(step: dict[str, Any]) -> dict[str, Any]:
    """One signed step as a reviewer reads it."""
    undo = step.get("rollback")
    return {
        "key": step["key"],
        "title": step.get("title") or step["key"],
        "uses": step["uses"],
        "effect": EFFECTS[step["effect"]],
        "once": step["effect"] == "at_most_once",
        "lines": _lines(step["with"]),
        "needs": step["needs"],
        "plans": phases.is_plan(step),
        "notes": way.notes(step),
        "omitted": bool(step.get("omitted")),
        "undo": {"uses": undo["uses"], "lines": _lines(undo["with"])} if undo else None,
    }


def flags(revision: Content) -> list[dict[str, str]]:
    """What a reviewer of a high-risk change must open before approving: steps that cannot be repeated."""
    return [
        {"id": step["key"], "title": step["title"], "url": f"#step-{step['key']}"}
        for step in plan(revision)
        if step["once"]
    ][:MAX_FLAGS]


def _lines(given: dict[str, Any]) -> list[tuple[str, str]]:
    """Each value as text in which control characters are visible, so nothing hides from a reviewer."""
    return [(name, _visible(value)) for name, value in given.items()]


def _visible(value: Any) -> str:
    """JSON with every character escaped that could move, hide or reverse what stands beside it."""
    text = json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else value
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text)


def earlier(change: Change) -> "QuerySet[Change]":
    """The comparable changes before this one, newest first."""
    return (
        Change.objects.filter(workflow=change.workflow, service=change.service, number__lt=change.number)
        .exclude(state=Change.State.DRAFT)
        .order_by("-number")
    )


def six(change: Change, revision: Content) -> list[Fact]:
    """What, where, when, risk, undo, evidence: the reading order of a reviewer."""
    return [
        _what(revision),
        _fact("Where", change.environment.name, f"{change.service.name}, tier {change.service.tier}"),
        _when(revision),
        _risk(change),
        _undo(revision),
        _evidence(change),
    ]


def unusual(change: Change, revision: Content) -> tuple[int, list[str]]:
    """How many earlier changes were compared, and up to three sentences on what is different now."""
    past = list(earlier(change).select_related("revision__workflow_version")[:COMPARED])
    if len(past) < ENOUGH:
        return 0, []
    said = [
        _new_requester(change, past),
        _new_environment(change, past),
        _new_version(change, revision, past),
    ]
    said += _new_inputs(revision, past)
    return len(past), [sentence for sentence in said if sentence][:3]


def _fact(label: str, value: str, note: str, **look: str) -> Fact:
    return {"label": label, "value": value, "note": note, **look}


def _what(revision: Content) -> Fact:
    if undone := rolled_back(document(revision)):
        return _fact("What", f"Rolls back {undone}", _count(len(document(revision)["steps"]), "step"))
    order = list(definition_of(revision.workflow_version)["spec"].get("inputs", {}))
    named = ", ".join(f"{key} {revision.inputs[key]}" for key in order[:2] if key in revision.inputs)
    return _fact(
        "What",
        named or revision.workflow_version.workflow.title,
        _count(len(document(revision)["steps"]), "step"),
    )


def _when(revision: Content) -> Fact:
    if repeats := window_of(revision).repeats:
        return _fact("When", f"It comes back {words(repeats)}", "each time a run of its own")
    if revision.not_before:
        return _fact("When", f"Not before {_at(revision.not_before)}", _then(revision))
    if revision.not_after:
        return _fact("When", "Right after approval", _then(revision))
    if decision_of(revision).output["windows"]:
        return _fact("When", "In a window of the policy", "then by itself")
    return _fact("When", "Right after approval", "by itself, no later stop")


def _then(revision: Content) -> str:
    return f"by itself, not after {_at(revision.not_after)}" if revision.not_after else "then by itself"


def _at(moment: datetime) -> str:
    return f"{moment:%d %b %H:%M} UTC"


def _risk(change: Change) -> Fact:
    reasons = [
        f"{change.environment.name} is tier {change.environment.tier}",
        f"service tier {change.service.tier}",
    ]
    if not change.environment.protected:
        reasons = [f"{change.environment.name} is not protected"]
    return _fact("Risk", change.risk.capitalize(), ", ".join(reasons), risk=change.risk)


def _undo(revision: Content) -> Fact:
    signed = steps(revision)
    once = [
        step["title"] or step["key"]
        for step in signed
        if step["effect"] == "at_most_once" and "rollback" not in step
    ]
    undone = sum("rollback" in step for step in signed)
    if undone and not once:
        return _fact("Undo", "By a rollback", f"{_count(undone, 'step')} with a way back", icon="succeeded")
    if not once:
        return _fact("Undo", "Safe to repeat", "every step may run again without harm", icon="succeeded")
    return _fact("Undo", "Not by itself", f"runs once only: {', '.join(once[:2])}", icon="warning")


def _evidence(change: Change) -> Fact:
    past = Run.objects.applying().filter(change__in=earlier(change).values("pk")[:COMPARED])
    total = past.exclude(state__in=[Run.State.READY, Run.State.RUNNING]).count()
    good = past.filter(state=Run.State.SUCCEEDED).count()
    runs = f"{good} of {total} earlier runs succeeded" if total else "no earlier run of this on this service"
    if needed := attached.fact(change):
        there, lacking = needed
        return _fact("Evidence", there, lacking or runs, icon="warning" if lacking else "succeeded")
    if not total:
        return _fact("Evidence", "First run", runs, icon="warning")
    return _fact("Evidence", f"{good} of {total} succeeded", "earlier runs of this on this service")


def _new_requester(change: Change, past: list[Change]) -> str:
    if all(old.requester_id != change.requester_id for old in past):
        return f"First change of this service with this workflow by {change.requester.name}."
    return ""


def _new_environment(change: Change, past: list[Change]) -> str:
    if all(old.environment_id != change.environment_id for old in past):
        return f"None of them was in {change.environment.name}."
    return ""


def _new_version(change: Change, revision: Content, past: list[Change]) -> str:
    last = past[0].revision
    if last and last.workflow_version_id != revision.workflow_version_id:
        old, new = last.workflow_version.number, revision.workflow_version.number
        return f"The workflow itself changed since the last one: version {old} then, {new} now."
    return ""


def _new_inputs(revision: Content, past: list[Change]) -> list[str]:
    before = [old.revision.inputs for old in past if old.revision]
    return [
        f"{name} is {value}; none of them used that."
        for name, value in revision.inputs.items()
        if all(inputs.get(name) != value for inputs in before) and _has_few_values(name, before)
    ]


def _has_few_values(name: str, before: list[dict[str, Any]]) -> bool:
    """A version differs every time and says nothing; a strategy that never differed does."""
    return len({str(inputs.get(name)) for inputs in before}) <= max(1, len(before) // 4)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
