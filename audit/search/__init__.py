"""Questions to the log. They mean the same on its page, in an export and in the API; they never change anything."""

from audit.search.fitting import find, of_kinds
from audit.search.grammar import Term, parse, spell, term
from audit.search.paging import Page, page
from audit.search.totals import COUNTED, count_after, totals

__all__ = [
    "COUNTED",
    "Page",
    "Term",
    "count_after",
    "find",
    "of_kinds",
    "page",
    "parse",
    "spell",
    "term",
    "totals",
]
