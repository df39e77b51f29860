"""Every action by its name: ours, which the settings list, and those of plug-ins. It must never run one."""

from collections.abc import Collection
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from orchestration.actions.base import Action

GROUP = "countersign.actions"


@cache
def known() -> dict[str, Action]:
    """Every action by its name. A plug-in cannot take the name of a built-in one."""
    plugged = {entry.name: entry.load()() for entry in entry_points(group=GROUP)}
    return {**plugged, **{action.name: action for action in built_in()}}


def built_in() -> list[Action]:
    """Those that come with the product, in the order of the settings."""
    return [import_string(path)() for path in settings.ACTIONS]


def get(name: str) -> Action | None:
    return known().get(name)


def validate(name: str, with_: Any, *, later: Collection[str] = ()) -> list[str]:
    """What is wrong with a step's `with:`, in words; empty when nothing is.

    `later` are texts that stand for what will be typed: a pattern judges the real ones, before they are signed.
    """
    action = get(name)
    if action is None:
        return [f"there is no action named {name}; known are {', '.join(sorted(known()))}"]
    found = Draft202012Validator(action.schema).iter_errors(with_)
    found = (error for error in found if not _stands_for(error, later))
    return [f"with{''.join(f'.{part}' for part in error.absolute_path)}: {error.message}" for error in found]


def _stands_for(error: ValidationError, texts: Collection[str]) -> bool:
    return error.validator == "pattern" and any(text in str(error.instance) for text in texts)
