"""Phases: what only reads runs first, and what it found is signed with the rest. Pure.

It must never let a step that could change anything run in the phase in which nobody has agreed yet.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from audit.canonical import digest
from orchestration.actions import registry

PLAN, APPLY = "plan", "apply"
READ_ONLY = "read_only"
DOMAIN = "countersign/plan-artifacts/v1"
Step = Mapping[str, Any]
Listed = Mapping[str, Any]  # {"step", "name", "digest", "bytes"}, and what a summary counts


def is_plan(step: Step) -> bool:
    return step.get("phase") == PLAN


def effect(step: Step, own: str) -> str:
    """A step's effect: its author's word, else its action's own; a plan step reads, or is refused."""
    return str(step.get("effect") or (READ_ONLY if is_plan(step) else own))


def faults(steps: Mapping[str, Step]) -> Iterator[tuple[str, str, str]]:
    """(step, part of it, what is wrong) of a definition whose needs are known."""
    plans = {key for key, step in steps.items() if is_plan(step)}
    for key in sorted(plans):
        step = steps[key]
        if effect(step, READ_ONLY) != READ_ONLY:
            yield key, "effect", "a plan step runs before anybody agreed, so its effect is read_only"
        action = registry.get(step["uses"])
        if action is not None and not action.plans:
            yield key, "uses", f"{step['uses']} cannot plan: it leaves nothing to look at"
        for name in step.get("needs", ()):
            if name not in plans:
                yield key, "needs", f"a plan step runs first, so it cannot need {name}, which is none"
    for key, step in steps.items():
        if key not in plans:
            yield from _unplanned(key, step, {name for name in plans if steps[name]["uses"] == step["uses"]})
    if plans and plans == set(steps):
        yield min(plans), "phase", "every step plans, so nothing would be left to run"


def _unplanned(key: str, step: Step, plans: set[str]) -> Iterator[tuple[str, str, str]]:
    """An action that applies nothing but plans needs one: what it would find later, nobody has agreed to."""
    if _applies_plans(step) and step["with"].get("plan") not in plans:
        named = f"plan: {min(plans, default='<key of a step with phase: plan>')}"
        yield (
            key,
            "with",
            f"{step['uses']} applies only a plan that was signed, so it has to name its own by {named}",
        )
    if "rollback" in step and _applies_plans(step["rollback"]):
        yield (
            key,
            "rollback",
            f"{step['rollback']['uses']} applies only a plan, and nothing is planned to undo a step",
        )


def _applies_plans(step: Step) -> bool:
    action = registry.get(step["uses"])
    return action is not None and action.applies_plans


def fact(listed: Sequence[Listed]) -> dict[str, Any] | None:
    """What policy is told of what plan steps found. Counts are null where a step left no summary."""
    if not listed:
        return None
    return {
        "digest": digest(DOMAIN, list(listed)),
        "changes": _sum(listed, "changes"),
        "destroys": _sum(listed, "destroys"),
    }


def _sum(listed: Sequence[Listed], name: str) -> int | None:
    counted = {one["step"]: one[name] for one in listed if name in one}
    return sum(counted.values()) if set(counted) == {one["step"] for one in listed} else None
