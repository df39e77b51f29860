"""`check`: how to find out whether a step's effect has happened. Pure.

It must never let a step be called reconcilable that nothing can be asked about.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from orchestration.actions.base import Action
from orchestration.definitions.substitution import resolved

RECONCILABLE = "reconcilable"
DEFAULT_TIMEOUT = "1m"
SECONDS = {"s": 1, "m": 60, "h": 3600}
Step = Mapping[str, Any]


def faults(step: Step, action: Action | None) -> Iterator[tuple[str, str]]:
    """(part of the step, what is wrong with it)."""
    effect = step.get("effect") or (action.effect if action else "")
    asked = "check" in step or (action is not None and action.checks)
    if effect == RECONCILABLE and not asked:
        yield "effect", "reconcilable needs a check that says whether the effect has happened"
    if "check" in step and effect != RECONCILABLE:
        yield "check", "a check is asked of a reconcilable step only; write effect: reconcilable"


def signed(step: Step, known: Mapping[str, Any]) -> dict[str, Any]:
    """What the document says about it; nothing where the author wrote nothing."""
    if "check" not in step:
        return {}
    text = str(step["check"].get("timeout", DEFAULT_TIMEOUT))
    argv = resolved({"argv": step["check"]["argv"]}, known)["argv"]
    return {"check": {"argv": argv, "timeout_seconds": int(text[:-1]) * SECONDS[text[-1]]}}


def programs(step: Step) -> set[str]:
    """The scripts beside the workflow that the check names as ./script."""
    argv = step.get("check", {}).get("argv", ())
    return {item[2:] for item in argv if isinstance(item, str) and item.startswith("./")}
