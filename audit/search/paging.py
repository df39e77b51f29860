"""One page of what fits, newest first, at the same cost in a log of any length.

A page is cut along an index that is in its order already: for each value that is asked for, the next few rows from
the cursor on, then the newest of those. What no index knows (a free word, a second column) is looked for among the
next `WINDOW` entries only; a page that is not full then says how far it looked, and the next one goes on there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import product
from typing import Any

from django.db import connection

from audit.models import Leaf
from audit.search.fitting import COLUMNS, narrowed
from audit.search.grammar import Term, moment, places

WINDOW = 10_000  # entries that are looked through for what no index knows
CHUNK = 1_000  # of them at a time: what is found often is found at once
MOST_ROWS = 100_000  # of an index that one page reads, at most
BRANCHES = 1_000  # values that one page is put together from, at most
ACTORS = """
SELECT who.actor, known.kind FROM unnest(%s::text[]) AS who (actor) CROSS JOIN LATERAL (
    WITH RECURSIVE kinds AS (
        (SELECT kind FROM audit_leaf WHERE actor = who.actor ORDER BY kind LIMIT 1) UNION ALL
        SELECT (SELECT kind FROM audit_leaf WHERE actor = who.actor AND kind > kinds.kind ORDER BY kind LIMIT 1)
        FROM kinds WHERE kind IS NOT NULL
    ) SELECT kind FROM kinds WHERE kind IS NOT NULL
) AS known
"""
ROWS_OF = "SELECT index, occurred_at FROM audit_leaf l WHERE {where} ORDER BY {order} LIMIT {reach:d}"
MERGED = "SELECT r.* FROM {values} CROSS JOIN LATERAL ({rows}) r ORDER BY {order} LIMIT {reach:d}"
TYPES = {"kind": "text", "actor": "text", "subject": "text", "index": "bigint"}


@dataclass(frozen=True)
class Page:
    """The leaves of a page, newest first, and the indexes from which the older and the newer page go on."""

    rows: list[Leaf]
    older: int | None = None
    newer: int | None = None
    looked_to: datetime | None = None  # where it stopped looking before the page was full


@dataclass(frozen=True)
class Way:
    """The index along which a page is cut: the columns that are equal there, and to what; the order; the bounds."""

    columns: tuple[str, ...] = ()
    values: Sequence[tuple[Any, ...]] = ((),)
    order: tuple[str, ...] = ("occurred_at", "index")
    bounds: Sequence[tuple[str, Any]] = ()
    rest: Sequence[Term] = ()  # what its rows must be looked through for

    @property
    def unnested(self) -> str:
        """SQL of the values as rows named `way`."""
        arrays = ", ".join(f"%s::{TYPES[name]}[]" for name in self.columns)
        return f"unnest({arrays}) AS way ({', '.join(self.columns)})"

    @property
    def where(self) -> str:
        """SQL of what leaves `l` must be."""
        equal = [f"l.{name} = way.{name}" for name in self.columns]
        return " AND ".join([*equal, *(f"l.{bound}" for bound, _ in self.bounds)]) or "true"

    @property
    def params(self) -> list[Any]:
        """The parameters of both, in this order."""
        return [
            *(list(column) for column in zip(*self.values, strict=True)),
            *(value for _, value in self.bounds),
        ]


def page(terms: Sequence[Term], *, size: int, before: int | None = None, after: int | None = None) -> Page:
    """The newest page, or the one that goes on from this index: to older entries `before` it, to newer `after` it."""
    way, back = way_of(terms), after is None
    at = before if back else after
    cursor = Leaf.objects.filter(index=at).first() if at is not None else None
    reach = _reach(way, size)
    walked = _walk(way, reach, cursor, back=back) if way.values else []
    found = _found([index for index, _ in walked], way, size, back=back)
    full, cut_off = len(found) > size, bool(way.rest) and len(walked) == reach
    end = found[size - 1].index if full else walked[-1][0] if cut_off else None
    begin = found[0].index if found else cursor.index if cursor else None
    looked_to = walked[-1][1] if cut_off and not full else None
    if back:
        return Page(found[:size], end, begin if cursor else None, looked_to)
    return Page(found[:size][::-1], begin, end, looked_to)


def _reach(way: Way, size: int) -> int:
    """How many rows of each value are taken: as many as a page needs, or as may be looked through."""
    if not way.rest:
        return size + 1
    return max(size + 1, min(WINDOW, MOST_ROWS // max(1, len(way.values))))


def _walk(way: Way, reach: int, cursor: Leaf | None, *, back: bool) -> list[tuple[int, datetime]]:
    """The next rows along this way: index and time."""
    order = ", ".join(f"{name} {'DESC' if back else 'ASC'}" for name in way.order)
    where = way.where
    params = way.params
    if cursor is not None:
        beyond = "<" if back else ">"
        where += f" AND (l.{', l.'.join(way.order)}) {beyond} ({', '.join('%s' for _ in way.order)})"
        params = [*params, *(getattr(cursor, name) for name in way.order)]
    rows = ROWS_OF.format(where=where, order=order, reach=reach)
    if way.columns:
        rows = MERGED.format(values=way.unnested, rows=rows, order=order, reach=reach)
    with connection.cursor() as execution:
        execution.execute(rows, params)
        return list(execution.fetchall())


def _found(indexes: list[int], way: Way, size: int, *, back: bool) -> list[Leaf]:
    """Up to one more than a page holds of these that fit what is left of the question, in their order."""
    order = [f"-{name}" if back else name for name in way.order]
    leaves = Leaf.objects.select_related("entry").order_by(*order)
    found: list[Leaf] = []
    wanted = indexes if way.rest else indexes[: size + 1]
    for begin in range(0, len(wanted), CHUNK):
        found += narrowed(leaves.filter(index__in=wanted[begin : begin + CHUNK]), way.rest)
        if len(found) > size:
            break
    return found[: size + 1]


def way_of(terms: Sequence[Term]) -> Way:
    """Along the narrowest index that knows something of the question; what that does not know is the rest."""
    if any(one.key == "index" for one in terms):
        return _by_place(terms)
    signs = {"after": ">=", "before": "<"}
    bounds = [(f"occurred_at {signs[one.key]} %s", moment(one.value)) for one in terms if one.key in signs]
    rest = [one for one in terms if one.key not in signs]
    streams = [one for one in rest if one.key == "stream"]
    if streams:  # one row's versions are few
        places_ = narrowed(Leaf.objects.order_by(), streams).values_list("index")
        return Way(("index",), list(places_), bounds=bounds, rest=_without(rest, "stream"))
    known = _known(rest)
    if "subject" in known:
        return Way(
            ("subject",), _single(known["subject"]), bounds=bounds, rest=_without(rest, "subject", "change")
        )
    pairs = _pairs(known) if "actor" in known else None
    if pairs is not None and len(pairs) <= BRANCHES:
        return Way(("actor", "kind"), pairs, bounds=bounds, rest=_without(rest, "actor", "type", "outcome"))
    if "kind" in known:
        return Way(("kind",), _single(known["kind"]), bounds=bounds, rest=_without(rest, "type", "outcome"))
    return Way(bounds=bounds, rest=rest)


def _by_place(terms: Sequence[Term]) -> Way:
    """From one number to another, in the order of the log itself."""
    spans = [places(one.value) for one in terms if one.key == "index"]
    bounds = [(f"index {sign} %s", at) for span in spans for sign, at in zip((">=", "<="), span, strict=True)]
    return Way(order=("index",), bounds=bounds, rest=_without(terms, "index"))


def _known(terms: Sequence[Term]) -> dict[str, set[str]]:
    """What each column must be, as far as the question says so."""
    known: dict[str, set[str]] = {}
    for one in terms:
        if one.key in COLUMNS:
            column, values = COLUMNS[one.key]
            found = values(one.value)
            known[column] = known[column] & found if column in known else found
    return known


def _pairs(known: dict[str, set[str]]) -> list[tuple[str, str]]:
    """Each actor with each kind that is asked for, or with each that this actor has left."""
    if "kind" in known:
        return list(product(known["actor"], known["kind"]))
    with connection.cursor() as cursor:
        cursor.execute(ACTORS, [list(known["actor"])])
        return list(cursor.fetchall())


def _single(values: set[str]) -> list[tuple[str]]:
    return [(value,) for value in values]


def _without(terms: Sequence[Term], *keys: str) -> list[Term]:
    return [one for one in terms if one.key not in keys]
