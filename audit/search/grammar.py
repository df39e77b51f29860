"""The words of a search: `type:sign_off.* actor:noor after:2026-09-01 outcome:refused "free words"`.

Pure: text in, terms out, and back. What is not understood is refused by its name, never searched for as a word.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from uuid import UUID

from audit.refusals import Invalid

MAX_LENGTH = 500
MAX_INDEX = 2**63 - 1
WORDS = ""  # the key of a free word
OTHER_NAMES = {"kind": "type", "verb": "type", "about": "change", "from": "after", "to": "before"}
PART = re.compile(r'\s*(?:([A-Za-z_]+):)?(?:"([^"]*)"|(\S+))')
NAMED = re.compile(r"(?:CHG|RUN)-[1-9][0-9]{0,17}|sha256:[0-9a-f]{64}", re.ASCII | re.IGNORECASE)
RANGE = re.compile(r"([0-9]{1,19})(?:(\.\.)([0-9]{1,19})?)?", re.ASCII)


@dataclass(frozen=True)
class Term:
    """One part of a question; `key` is empty for a free word."""

    key: str
    value: str

    def __str__(self) -> str:
        plain = self.value and not re.search(r"\s", self.value) and (self.key or ":" not in self.value)
        value = self.value if plain else f'"{self.value}"'
        return f"{self.key}:{value}" if self.key else value


def parse(text: str) -> list[Term]:
    """The terms of what was typed; Invalid, in words that name the fault, when it cannot be understood."""
    if len(text) > MAX_LENGTH:
        raise _fault(f"a search has at most {MAX_LENGTH} characters")
    if text.count('"') % 2:
        raise _fault("a quotation mark is not closed")
    return [_term(*part) for part in PART.findall(text)]


def spell(terms: list[Term]) -> str:
    """The question as one would type it."""
    return " ".join(map(str, terms))


def term(key: str, value: str) -> Term:
    """One term of a qualifier by any of its names."""
    name = OTHER_NAMES.get(key.lower(), key.lower())
    check = QUALIFIERS.get(name)
    if check is None:
        close = get_close_matches(name, [*QUALIFIERS, *OTHER_NAMES], 1)
        meant = f" Did you mean {close[0]}:?" if close else ""
        known = ", ".join(f"{one}:" for one in QUALIFIERS)
        raise _fault(
            f"there is no qualifier {key}:.{meant} There are {known}."
            f' To look for these words themselves, put them in quotation marks: "{key}:{value}"'
        )
    if not value:
        raise _fault(f"{key}: is followed by nothing")
    check(value)
    return Term(name, value)


def moment(value: str) -> datetime:
    """A day or a moment, in UTC unless it says otherwise."""
    try:
        at = datetime.fromisoformat(value)
    except ValueError as error:
        raise _fault(
            f"{value!a:.40} is not a day like 2026-09-01 or a moment like 2026-09-01T08:00"
        ) from error
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def places(value: str) -> tuple[int, int]:
    """The first and the last index of `41`, `41..99` or `41..`."""
    found = RANGE.fullmatch(value)
    if found is None:
        raise _fault(f"{value!a:.40} is not a number of an entry like 41, nor a range like 41..99 or 41..")
    first = int(found[1])
    last = int(found[3] or MAX_INDEX) if found[2] else first
    return min(first, MAX_INDEX), min(last, MAX_INDEX)


def _term(key: str, quoted: str, plain: str) -> Term:
    value = quoted or plain
    whole = f"{key}:{value}" if key else value
    if NAMED.fullmatch(whole):
        return Term("change", whole)  # an id: its whole story
    if not key and plain.endswith(":"):
        return term(plain[:-1], "")
    return term(key, value) if key else Term(WORDS, value)


def _stream(value: str) -> None:
    try:
        UUID(value)
    except ValueError as error:
        raise _fault(f"{value!a:.40} is not the id of a stream, which is a UUID") from error


def _anything(_value: str) -> None:
    """Whatever is asked for may be there."""


def _fault(words: str) -> Invalid:
    end = "" if words.endswith('"') else "."
    said = f"Nothing was searched: {words}{end}"
    return Invalid(said, errors=[{"pointer": "/q", "detail": said}])


QUALIFIERS: dict[str, Callable[[str], object]] = {
    "type": _anything,
    "outcome": _anything,
    "actor": _anything,
    "change": _anything,
    "subject": _anything,
    "stream": _stream,
    "index": places,
    "after": moment,
    "before": moment,
}
