"""How many entries fit, as far as that is told at the same cost in a log of any length."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from django.db import connection

from audit.models import Leaf
from audit.search.fitting import kinds, narrowed
from audit.search.grammar import Term
from audit.search.paging import WINDOW, way_of

COUNTED = 1_000  # of one kind; beyond it, "and more" is told
COUNT = """
SELECT way.kind, counted.n FROM {values} CROSS JOIN LATERAL (
    SELECT count(*) AS n FROM (SELECT 1 FROM audit_leaf l WHERE {where} LIMIT {most:d}) one
) counted WHERE counted.n > 0
"""


def totals(terms: Sequence[Term]) -> list[tuple[str, int]]:
    """Kinds with the number of their entries that fit, the most first; nothing where no index knows it."""
    way = way_of(terms)
    if not way.columns:  # a period alone: of every kind
        way = replace(way, columns=("kind",), values=[(kind,) for kind in kinds()])
    if way.rest or "kind" not in way.columns or not way.values:
        return []
    counted = Counter[str]()
    with connection.cursor() as cursor:
        cursor.execute(COUNT.format(values=way.unnested, where=way.where, most=COUNTED + 1), way.params)
        for kind, number in cursor.fetchall():
            counted[kind] += number
    return counted.most_common()


def count_after(terms: Sequence[Term], index: int, *, most: int) -> int:
    """How many entries that fit took their place after this one, up to `most`; among the next ones."""
    following = Leaf.objects.filter(index__gt=index, index__lte=index + WINDOW).order_by()
    return narrowed(following, terms)[:most].count()
