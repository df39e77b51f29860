"""Searches a whole log on the server: plain text or a regular expression, in an engine that takes linear time.

Bounded in time, in memory and in what it answers. What is searched is what the page shows: colours are taken out.
"""

import re
import time
from collections import deque
from collections.abc import Iterator
from typing import TypedDict

import re2

from audit.refusals import Invalid
from orchestration.logs import reading
from orchestration.logs.layout import rendered
from orchestration.models import Step

SECONDS = 3.0
MOST = 1000  # numbers of one answer
PATTERN_CHARS = 500
PATTERN_MEMORY = 8 << 20
COLOURS = re.compile(rb"\x1b\[[0-9;:]*m")


class Found(TypedDict):
    """Numbers of lines with a match, at most so many; how many there are in the whole log."""

    results: list[int]
    count: int
    before: int
    more: bool
    complete: bool
    searched: int


def search(
    step: Step, words: str, *, first: int = 1, last: int = 0, regex: bool = False, case: bool = False
) -> Found:
    """The lines with a match from `first` on, or those up to `last`; `before` of them come before the first told.

    Not `complete`: the time was over, and lines behind `searched` were not looked at.
    """
    pattern = _pattern(words, regex=regex, case=case)
    until = time.monotonic() + SECONDS
    told: deque[int] = deque(maxlen=MOST)
    count = before = searched = 0
    complete = True
    for start, block in _blocks(step):
        for number in _matching(pattern, block, start):
            count += 1
            if last and number <= last:
                told.append(number)
                before = count - len(told)
            elif not last and number < first:
                before += 1
            elif not last and len(told) < MOST:
                told.append(number)
        searched = start + block.count(b"\n") - block.endswith(b"\n")
        complete = time.monotonic() < until
        if not complete:
            break
    more = count > before + len(told)
    return Found(
        results=list(told), count=count, before=before, more=more, complete=complete, searched=searched
    )


def _pattern(words: str, *, regex: bool, case: bool) -> "re2._Regexp[bytes]":
    if not words or len(words) > PATTERN_CHARS:
        raise _invalid(f"Type what to look for, at most {PATTERN_CHARS} characters.")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = PATTERN_MEMORY
    options.case_sensitive = case
    options.never_nl = True  # a match stays in its line
    text = words if regex else re2.escape(words)
    try:
        pattern = re2.compile(f"(?m){text}", options)
        re2.purge()  # each may hold memory of its own; what was searched once is not kept
    except re2.error as error:
        raise _invalid("This is no regular expression of RE2, or one that is too large.") from error
    if pattern.search(b""):
        raise _invalid("This expression also matches nothing at all, and so every line.")
    return pattern


def _invalid(detail: str) -> Invalid:
    return Invalid(f"Nothing was searched. {detail}", errors=[{"pointer": "/q", "detail": detail}])


def _blocks(step: Step) -> Iterator[tuple[int, bytes]]:
    """The text in blocks of whole lines, each with the number of its first line."""
    number, rest = 1, b""
    for chunk, data in reading.pieces(step):
        text = rest + rendered(data, chunk.dropped_bytes, breaks=chunk.breaks)
        end = text.rfind(b"\n") + 1
        if end:
            yield number, COLOURS.sub(b"", text[:end])
            number += text.count(b"\n", 0, end)
        rest = text[end:]
    if rest:
        yield number, COLOURS.sub(b"", rest)


def _matching(pattern: "re2._Regexp[bytes]", block: bytes, number: int) -> Iterator[int]:
    """The numbers of lines with a match, each once."""
    at = 0
    while match := pattern.search(block, at):
        number += block.count(b"\n", at, match.start())
        yield number
        end = block.find(b"\n", match.start())  # on in the next line: no text is looked at twice
        if end < 0:
            return
        at, number = end + 1, number + 1
