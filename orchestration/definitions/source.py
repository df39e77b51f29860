"""Strict YAML: what an author wrote, as plain values, with the place of each for error messages.

YAML 1.2's core scalars without floats; no aliases, anchors, tags, merge keys or second keys; capped in bytes, nodes
and depth before anything is built. Knows nothing of workflows.
"""

import re
from dataclasses import dataclass
from typing import Any

import yaml

from audit.refusals import Invalid

MAX_BYTES, MAX_NODES, MAX_DEPTH, MAX_KEY = 256_000, 10_000, 32, 200
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,14})")
_FLOAT = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+)")
_WORDS = {"": None, "~": None, "null": None, "Null": None, "NULL": None}
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
# What turns round or hides the text beside it; the two joiners stay, for scripts that need them.
_HIDING = (
    r"\xad\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb"
    r"\U000e0000-\U000e007f"
)
HIDING = re.compile(f"[{_HIDING}]")
CONTROL = re.compile(rf"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff{_HIDING}]")
Path = tuple[str | int, ...]


class BadDefinition(Invalid):
    """The source cannot become a version; `errors` says where, line and column first."""

    code = "bad_definition"


@dataclass(frozen=True)
class Source:
    """Plain values and, for each path into them, (line, column) counted from 1."""

    value: Any
    places: dict[Path, tuple[int, int]]

    def at(self, path: Path) -> str:
        """`line 12, column 3` of a path or of its nearest parent that has a place."""
        while path and path not in self.places:
            path = path[:-1]
        line, column = self.places.get(path, (1, 1))
        return f"line {line}, column {column}"


def bad(problem: str, *, pointer: str = "") -> BadDefinition:
    return BadDefinition(
        f"The definition was not accepted: {problem}", errors=[{"pointer": pointer, "detail": problem}]
    )


def read(text: str) -> Source:
    """The values of one YAML document; BadDefinition with line and column."""
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise bad(f"it is longer than {MAX_BYTES} bytes.")
    if hidden := HIDING.search(text):  # in a comment as well: a reviewer reads those too
        line = text.count("\n", 0, hidden.start()) + 1
        raise bad(
            f"line {line}: the text holds U+{ord(hidden[0]):04X}, which hides or turns round what is beside it."
        )
    try:
        _check_events(text)
        node = yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise bad(f"{place}{error.problem or error.context}.") from error
    except (yaml.YAMLError, UnicodeError, RecursionError) as error:
        raise bad(f"it is not YAML: {error}."[:300]) from error
    places: dict[Path, tuple[int, int]] = {}
    return Source(_plain(node, (), places), places)


def _place(marked: Any) -> str:
    return f"line {marked.start_mark.line + 1}, column {marked.start_mark.column + 1}"


def _check_events(text: str) -> None:
    """Caps and what is not allowed, from the stream of events: nothing is built yet."""
    depth = nodes = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        place = _place(event)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise bad(f"{place}: anchors and aliases are not allowed; write the value where it is needed.")
        tag = getattr(event, "tag", None)
        if tag and not tag.startswith("tag:yaml.org,2002:str"):
            raise bad(f"{place}: the tag {tag} is not allowed.")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        if isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        nodes += isinstance(event, yaml.NodeEvent)
        if depth > MAX_DEPTH or nodes > MAX_NODES:
            raise bad(f"{place}: deeper than {MAX_DEPTH} levels or more than {MAX_NODES} values.")


def _plain(node: Any, path: Path, places: dict[Path, tuple[int, int]]) -> Any:
    if node is None:
        raise bad("it is empty.")
    places[path] = (node.start_mark.line + 1, node.start_mark.column + 1)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, (*path, index), places) for index, item in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, places)
    return _scalar(node)


def _mapping(node: yaml.MappingNode, path: Path, places: dict[Path, tuple[int, int]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key_node, value_node in node.value:
        place = _place(key_node)
        key = key_node.value
        if not isinstance(key, str) or key == "<<" or len(key) > MAX_KEY or not key.isprintable():
            raise bad(f"{place}: a key must be plain, short text.")
        if key in found:
            raise bad(f"{place}: the key {key} stands twice.")
        found[key] = _plain(value_node, (*path, key), places)
    return found


def _scalar(node: yaml.ScalarNode) -> Any:
    text = str(node.value)
    if hidden := CONTROL.search(
        text
    ):  # neither a reviewer's screen nor PostgreSQL can hold every one of them
        raise bad(f"{_place(node)}: the text holds the control character U+{ord(hidden[0]):04X}.")
    if node.style:  # quoted or a block: text, whatever it looks like
        return text
    if text in _WORDS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        place = _place(node)
        raise bad(f"{place}: {text} is a fraction, which a digest cannot hold exactly. Write it in quotes.")
    return text
