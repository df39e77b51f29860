"""A step's condition: an expression in CEL over what is known once its turn has come. Pure.

It says whether a step runs, never what runs. It has no clock, no randomness and no network; its length, its depth and
its iterations are bounded, and its regular expressions are RE2's, which are linear.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from cel_expr_python import cel

Value = str | int | bool
TYPES = {
    "string": cel.Type.STRING,
    "integer": cel.Type.INT,
    "boolean": cel.Type.BOOL,
    "outputs": cel.Type.Map(cel.Type.STRING, cel.Type.DYN),
    "each outputs": cel.Type.Map(cel.Type.STRING, cel.Type.Map(cel.Type.STRING, cel.Type.DYN)),
    "each state": cel.Type.Map(cel.Type.STRING, cel.Type.STRING),
}
# What the library raises: a wrong expression, a spent budget, a value that CEL does not have.
_REFUSES = (RuntimeError, ValueError, TypeError, OverflowError)
_FAULT = re.compile(r"<input>:(\d+):(\d+): (.*?)(?: \(in container '.*)?$", re.MULTILINE)
_UNDECLARED = re.compile(r"undeclared reference to '([\w.]+)'")


class Undecided(ValueError):
    """A condition that came to no answer: it read what is not there, or divided by zero."""


def fault(text: str, types: Mapping[str, str]) -> str:
    """What is wrong with a condition over these names, each of a type; empty when nothing is."""
    try:
        program = _compiled(text, types)
    except _REFUSES as error:
        return _in_words(str(error), types)
    if program.return_type() != cel.Type.BOOL:
        return "it must say true or false: compare what it reads, as in outputs.build.ok == true"
    return ""


def holds(text: str, values: Mapping[str, tuple[str, Any]]) -> bool:
    """Whether it is true of these values, each beside its type; Undecided when it has no answer."""
    try:
        program = _compiled(text, {name: kind for name, (kind, _) in values.items()})
        found = program.eval(data={name: value for name, (_, value) in values.items() if name in text})
    except _REFUSES as error:
        raise Undecided(_short(str(error))) from None
    if found.type() != cel.Type.BOOL:
        raise Undecided(_short(str(found.value())))
    return bool(found.value())


def kind(value: Value) -> str:
    """The name of a value's type."""
    if isinstance(value, bool):
        return "boolean"
    return "integer" if isinstance(value, int) else "string"


def name(key: str) -> str:
    """How a condition calls a step: a dash would be a minus, so it is written as a line."""
    return key.replace("-", "_")


def _compiled(text: str, types: Mapping[str, str]) -> Any:
    """Only names that stand in the text are declared: a run may have a thousand steps."""
    return _program(text, frozenset((one, of) for one, of in types.items() if one in text))


@lru_cache(maxsize=256)
def _program(text: str, types: frozenset[tuple[str, str]]) -> Any:
    """Compiled once for all members of a matrix: making an environment takes longer than any condition."""
    return cel.NewEnv(variables={one: TYPES[of] for one, of in types}).compile(text)


def _in_words(said: str, types: Mapping[str, str]) -> str:
    found = _FAULT.search(said)
    if found is None:
        return _short(said)
    line, column, detail = found.groups()
    if unknown := _UNDECLARED.search(detail):
        detail = f"{unknown[1]} is nothing that it may read; it may read {', '.join(sorted(types))}"
    where = f"at character {column}" + (f" of its line {line}" if line != "1" else "")
    return f"{where}: {detail}"[:1000]


def _short(said: str) -> str:
    """Without the name of the status that the library puts around it."""
    return re.sub(r"^[A-Z_]+: |\s*\[[A-Z_]+\]$", "", said.partition("\n")[0])[:300]
