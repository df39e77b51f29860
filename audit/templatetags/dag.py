"""Where the steps of a workflow stand in a drawing: columns by depth, rows without needless crossings.

Pure geometry; must never know what a step does.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from audit.templatetags.states import Look, look

WIDTH, HEIGHT, GAP_X, GAP_Y, EDGE = 152, 44, 24, 16, 2
FITTING = 720  # a drawing up to this width may shrink to its card and still be read


@dataclass(frozen=True)
class Node:
    key: str
    name: str
    note: str
    url: str
    state: str
    look: Look
    needs: tuple[str, ...]
    x: int = 0
    y: int = 0


@dataclass(frozen=True)
class Graph:
    nodes: list[Node]
    edges: list[tuple[str, bool]]  # the path, and whether the step before it is done
    width: int
    height: int
    node_width: int = WIDTH

    @property
    def fits(self) -> bool:
        return self.width <= FITTING


def draw(steps: Iterable[Any]) -> Graph:
    """The drawing of steps that carry key, title, state, needs, note and url, as attributes or as keys."""
    nodes = {node.key: node for node in map(_node, steps)}
    columns = _order(_columns(nodes), nodes)
    tallest = max((len(column) for column in columns), default=1)
    height = tallest * (HEIGHT + GAP_Y) - GAP_Y + 2 * EDGE
    placed = {
        key: _place(nodes[key], column, row, len(keys), height)
        for column, keys in enumerate(columns)
        for row, key in enumerate(keys)
    }
    width = len(columns) * (WIDTH + GAP_X) - GAP_X + 2 * EDGE
    return Graph([placed[key] for key in nodes], _edges(placed), width, height)


def _get(step: Any, *names: str) -> Any:
    for name in names:
        value = step.get(name) if isinstance(step, Mapping) else getattr(step, name, None)
        if value:
            return value
    return ""


def _node(step: Any) -> Node:
    state = str(_get(step, "state") or "pending")
    key = str(_get(step, "key", "name"))
    seen = look(state)
    return Node(
        key=key,
        name=str(_get(step, "title", "name", "key")),
        note=str(_get(step, "note")) or seen.words,
        url=str(_get(step, "url")),
        state=state,
        look=seen,
        needs=tuple(str(need) for need in _get(step, "needs") or ()),
    )


def _columns(nodes: dict[str, Node]) -> list[list[str]]:
    """Keys by depth: a step stands one column after the deepest step it needs. Loops are cut."""
    depths: dict[str, int] = {}

    def depth(key: str, seen: frozenset[str]) -> int:
        if key in depths:
            return depths[key]
        before = [need for need in nodes[key].needs if need in nodes and need not in seen]
        depths[key] = 1 + max((depth(need, seen | {key}) for need in before), default=-1)
        return depths[key]

    columns: list[list[str]] = [
        [] for _ in range(1 + max((depth(k, frozenset()) for k in nodes), default=-1))
    ]
    for key in nodes:
        columns[depths[key]].append(key)
    return columns


def _order(columns: list[list[str]], nodes: dict[str, Node]) -> list[list[str]]:
    """Each column sorted by the middle of the rows before it, so lines cross less."""
    rows: dict[str, float] = {}
    for column in columns:
        column.sort(key=lambda key: _middle([rows[need] for need in nodes[key].needs if need in rows]))
        rows.update({key: row - (len(column) - 1) / 2 for row, key in enumerate(column)})
    return columns


def _middle(rows: list[float]) -> float:
    return sum(rows) / len(rows) if rows else 0


def _place(node: Node, column: int, row: int, in_column: int, height: int) -> Node:
    used = in_column * (HEIGHT + GAP_Y) - GAP_Y
    x = EDGE + column * (WIDTH + GAP_X)
    y = (height - used) // 2 + row * (HEIGHT + GAP_Y)
    return Node(**{**vars(node), "x": x, "y": y})


def _edges(placed: dict[str, Node]) -> list[tuple[str, bool]]:
    return [
        (_curve(placed[need], node), placed[need].state == "succeeded")
        for node in placed.values()
        for need in node.needs
        if need in placed
    ]


def _curve(start: Node, end: Node) -> str:
    x1, y1, x2, y2 = start.x + WIDTH, start.y + HEIGHT // 2, end.x, end.y + HEIGHT // 2
    turn, bend = x2 - GAP_X, GAP_X // 2  # a long way runs along its own row and turns only before its end
    return f"M{x1} {y1}H{turn}C{turn + bend} {y1} {x2 - bend} {y2} {x2} {y2}"
