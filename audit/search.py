"""The search of the log: `kind:sign_off.* actor:noor from:2026-09-01 payments`. A question, never an answer.

The same words work on the page, in an export and in the API, and the question is shown as it was understood.
"""

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db.models import Q, QuerySet

from audit.canonical import parse as parse_body
from audit.models import ActorName, Entry, Leaf
from audit.refusals import Invalid

MAX_LENGTH = 500
MAX_STORY = 1_000  # entries of one thing that are read for what they name


@dataclass(frozen=True)
class Term:
    """One part of a question; `key` is empty for a free word."""

    key: str
    value: str

    def __str__(self) -> str:
        value = f'"{self.value}"' if " " in self.value else self.value
        return f"{self.key}:{value}" if self.key else value


def parse(text: str) -> list[Term]:
    """The terms of what was typed; Invalid when it cannot be understood."""
    if len(text) > MAX_LENGTH:
        raise Invalid(f"Nothing was searched: a search has at most {MAX_LENGTH} characters.")
    lexer = shlex.shlex(text, posix=True)
    lexer.whitespace_split, lexer.quotes, lexer.escape, lexer.commenters = True, '"', "", ""
    try:
        return [_term(word) for word in lexer]
    except ValueError as error:
        raise Invalid("Nothing was searched: a quotation mark is not closed.") from error


def spell(terms: list[Term]) -> str:
    """The question as one would type it."""
    return " ".join(map(str, terms))


def find(terms: list[Term]) -> QuerySet[Leaf]:
    """The entries with a place in the log that fit every term, newest first."""
    found = Leaf.objects.select_related("entry").order_by("-index")
    for term in terms:
        found = found.filter(FILTERS[term.key](term.value))
    return found


def _term(word: str) -> Term:
    key, colon, value = word.partition(":")
    return Term(key, value) if colon and value and key in FILTERS else Term("", word)


def _kind(value: str) -> Q:
    if value.endswith("*"):
        return Q(entry__kind__startswith=value.removesuffix("*"))
    return Q(entry__kind=value)


def _actor(value: str) -> Q:
    named = ActorName.objects.filter(Q(handle__iexact=value) | Q(name__icontains=value)).values("actor")
    return Q(entry__actor=value) | Q(entry__actor__in=named)


def _free(value: str) -> Q:
    return Q(entry__subject__icontains=value) | Q(entry__kind__icontains=value) | _about(value)


def _about(value: str) -> Q:
    """The whole story of one thing: its own entries, and those of the content and the runs that they name."""
    subject, told = value.upper(), set[str]()
    for body in Entry.objects.filter(subject=subject).values_list("body", flat=True)[:MAX_STORY]:
        data = parse_body(bytes(body))["data"]
        told |= {data[name] for name in ("digest", "run") if isinstance(data.get(name), str)}
    return Q(entry__subject__in={subject, *told})


def _day(value: str) -> datetime:
    try:
        at = datetime.fromisoformat(value)
    except ValueError as error:
        raise Invalid(f"Nothing was searched: {value!a:.40} is not a day like 2026-09-01.") from error
    return at if at.tzinfo else at.replace(tzinfo=UTC)


FILTERS: dict[str, Callable[[str], Q]] = {
    "": _free,
    "kind": _kind,
    "verb": _kind,
    "actor": _actor,
    "about": _about,
    "subject": lambda value: Q(entry__subject__iexact=value),
    "from": lambda value: Q(entry__occurred_at__gte=_day(value)),
    "to": lambda value: Q(entry__occurred_at__lt=_day(value)),
}
