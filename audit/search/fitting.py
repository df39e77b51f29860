"""Which entries fit a question: along the columns of the leaves, or, for a free word, in the sealed bytes."""

from collections.abc import Callable, Iterable
from uuid import UUID

from django.db import connection
from django.db.models import Exists, F, Func, OuterRef, Q, QuerySet, TextField, Value

from audit.canonical import canonical, parse
from audit.models import Entry, Leaf, Opening
from audit.names import called
from audit.search.grammar import Term, moment, places

MAX_STORY = 1_000  # entries of one thing that are read for what they name
# One step along the index for each kind, however long the log is.
KINDS = """
WITH RECURSIVE kinds AS (
    (SELECT kind FROM audit_leaf ORDER BY kind LIMIT 1) UNION ALL
    SELECT (SELECT kind FROM audit_leaf WHERE kind > kinds.kind ORDER BY kind LIMIT 1) FROM kinds WHERE kind IS NOT NULL
) SELECT kind FROM kinds WHERE kind IS NOT NULL
"""


def find(terms: Iterable[Term]) -> QuerySet[Leaf]:
    """Every entry with a place in the log that fits, newest first; for an export, which reads all of them."""
    return narrowed(Leaf.objects.select_related("entry").order_by("-index"), terms)


def narrowed(found: QuerySet[Leaf], terms: Iterable[Term]) -> QuerySet[Leaf]:
    """Those of these leaves that fit every term."""
    for term in terms:
        if term.key in COLUMNS:
            column, values = COLUMNS[term.key]
            found = found.filter(**{f"{column}__in": values(term.value)})
        elif term.key:
            found = found.filter(OTHERS[term.key](term.value))
        else:
            found = _with_word(found, term.value)
    return found


def kinds() -> list[str]:
    """Every kind that the log holds."""
    with connection.cursor() as cursor:
        cursor.execute(KINDS)
        return [kind for (kind,) in cursor.fetchall()]


def of_kinds(value: str) -> Q:
    """Of this kind, or of those that begin with what stands before a star; also of kinds that are not there yet."""
    return Q(kind__startswith=value.removesuffix("*")) if value.endswith("*") else Q(kind=value)


def _kinds(value: str) -> set[str]:
    if not value.endswith("*"):
        return {value}
    return {kind for kind in kinds() if kind.startswith(value.removesuffix("*"))}


def _outcome(value: str) -> set[str]:
    """By the last word of the kind: refused, approved, failed."""
    return {kind for kind in kinds() if kind.rpartition(".")[2] == value.lower()}


def _actors(value: str) -> set[str]:
    """By id, by handle, or by a part of the name."""
    return {value, *called(value, handle=True)}


def _spellings(value: str) -> set[str]:
    return {value, value.upper(), value.lower()}


def _story(value: str) -> set[str]:
    """All about one thing: its own entries, and those of the content and the runs that they name."""
    subject, told = value.lower() if ":" in value else value.upper(), set[str]()
    for body in Entry.objects.filter(subject=subject).values_list("body", flat=True)[:MAX_STORY]:
        data = parse(bytes(body))["data"]
        told |= {data[name] for name in ("digest", "run") if isinstance(data.get(name), str)}
    return {subject, value, *told}


def _with_word(found: QuerySet[Leaf], value: str) -> QuerySet[Leaf]:
    """Anywhere in the sealed bytes or the texts beside them, whatever its case, or in the name of who acted."""
    text = Func(F("entry__body"), Value("UTF8"), function="convert_from", output_field=TextField())
    spelled = canonical(value).decode()[1:-1]  # as the bytes have it
    typed = Exists(Opening.objects.filter(entry=OuterRef("entry"), value__icontains=value))
    return found.alias(text=text).filter(
        Q(text__icontains=spelled) | Q(typed) | Q(actor__in=sorted(called(value)))
    )


# qualifier -> the column that it narrows, and which values it stands for
COLUMNS: dict[str, tuple[str, Callable[[str], set[str]]]] = {
    "type": ("kind", _kinds),
    "outcome": ("kind", _outcome),
    "actor": ("actor", _actors),
    "change": ("subject", _story),
    "subject": ("subject", _spellings),
}
OTHERS: dict[str, Callable[[str], Q]] = {
    "stream": lambda value: Q(entry__stream=UUID(value)),
    "index": lambda value: Q(index__range=places(value)),
    "after": lambda value: Q(occurred_at__gte=moment(value)),
    "before": lambda value: Q(occurred_at__lt=moment(value)),
}
