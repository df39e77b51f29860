"""`{{inputs.version}}`: exact keys, put in before the digest is made. No expressions, no templates, no shell.

A scalar that is one reference keeps the value's type; inside longer text the value stands as text. What is put in is
never looked at again, so a value that looks like a reference stays what a person typed.
"""

import re
from collections.abc import Mapping
from typing import Any

_REFERENCE = re.compile(r"\{\{\s*([a-z][a-z0-9_.]*)\s*\}\}")
_ANYTHING = re.compile(r"\{\{(.*?)\}\}")


class BadReference(ValueError):
    """Something in double braces that is no plain name."""


def references(value: Any) -> set[str]:
    """The names that a value refers to; BadReference for anything else in double braces."""
    if isinstance(value, str):
        for inner in _ANYTHING.findall(value):
            if not _REFERENCE.fullmatch("{{" + inner + "}}"):
                raise BadReference(f"{{{{{inner}}}}} is no plain name such as {{{{inputs.version}}}}.")
        return set(_REFERENCE.findall(value))
    if isinstance(value, Mapping):
        return set().union(*(references(item) for item in value.values())) if value else set()
    if isinstance(value, list):
        return set().union(*(references(item) for item in value)) if value else set()
    return set()


def substitute(value: Any, known: Mapping[str, Any]) -> Any:
    """The value with every reference replaced; KeyError for a name that is not known."""
    if isinstance(value, str):
        whole = _REFERENCE.fullmatch(value)
        if whole:
            return known[whole[1]]
        return _REFERENCE.sub(lambda found: _text(known[found[1]]), value)
    if isinstance(value, Mapping):
        return {key: substitute(item, known) for key, item in value.items()}
    if isinstance(value, list):
        return [substitute(item, known) for item in value]
    return value


def resolved(with_: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """What an action is given. A program's arguments and variables are text, whatever was put into them."""
    found: dict[str, Any] = substitute(with_, known)
    if isinstance(found.get("argv"), list):
        found["argv"] = [_as_text(item, was) for item, was in zip(found["argv"], with_["argv"], strict=True)]
    if isinstance(found.get("env"), Mapping):
        found["env"] = {name: _as_text(item, with_["env"][name]) for name, item in found["env"].items()}
    return found


def _as_text(value: Any, written: Any) -> Any:
    """Only what came by a reference: a number that an author wrote is for the action's schema to judge."""
    return _text(value) if isinstance(written, str) else value


def begins_with(text: str, name: str) -> bool:
    """Whether the text begins with a reference to this name."""
    first = _REFERENCE.match(text)
    return first is not None and first[1] == name


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
