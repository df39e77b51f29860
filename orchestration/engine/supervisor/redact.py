"""Masks secrets in what a step prints, as it streams by: each value in every form in which programs write it.

Standard library only. Linear in what flows through, whatever the number and the length of the secrets: one pass tells
for all places of a piece at once where the first four bytes of a pattern may stand, and only there is it compared. What
may be the beginning of a secret is held back until it is known whether it is one. It must never let a value pass that
was split over writes; it cannot know one that was reversed, or spread letter by letter.
"""

import base64
import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

MASK = b"***"  # no secret fits into it: the shortest has four characters
LEAST = 4
HEAD = 4  # bytes by which a place is chosen: no pattern is shorter
GROUPS = 8  # of patterns, a bit of a byte for each
Span = tuple[int, int]
_MARKED = re.compile(rb"[^\0]")


class Redactor:
    """The patterns of one step's secrets."""

    def __init__(self, values: Iterable[bytes]) -> None:
        found = {form for value in values for form in forms(value)}
        self.patterns = sorted(one for one in found if len(one) >= LEAST)
        self._tails = {one[:size] for one in self.patterns for size in range(1, HEAD)}
        self._heads: dict[bytes, list[bytes]] = {}
        for one in self.patterns:
            self._heads.setdefault(one[:HEAD], []).append(one)
        self._reach = max((len(one) for one in self.patterns), default=0)
        self._tables = _tables(sorted(self._heads))

    def mask(self, data: bytes) -> bytes:
        """The same with every secret masked."""
        return Stream(self).put(data, ended=True)

    def text(self, text: str) -> str:
        return self.mask(text.encode(errors="replace")).decode(errors="replace")

    def flat(self, values: dict[str, str | int | bool]) -> dict[str, str | int | bool]:
        """A step's outputs: names and texts masked, and a number that is a secret becomes a text."""
        return {self.text(name): self._value(one) for name, one in values.items()}

    def _value(self, one: str | int | bool) -> str | int | bool:
        masked = self.text(str(one))
        return masked if isinstance(one, str) or masked != str(one) else one

    def spans(self, data: bytes, covered: int) -> list[Span]:
        """Where secrets stand, in order and merged; the first `covered` bytes are part of one that began before."""
        found: list[Span] = [(0, covered)] if covered else []
        ends: dict[bytes, int] = {}
        for at in self._places(data):
            for pattern in self._heads[data[at : at + HEAD]]:
                if at >= ends.get(pattern, 0) and data.startswith(pattern, at):
                    ends[pattern] = at + len(pattern)
                    found.append((at, at + len(pattern)))
        merged: list[Span] = []
        for start, end in sorted(found):
            if merged and start <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            else:
                merged.append((start, end))
        return merged

    def begins(self, data: bytes) -> int:
        """Where at the end of `data` something starts that may become a secret; its length when nothing does."""
        size = len(data)
        first = max(0, size - self._reach + 1)
        for at in self._places(data[first:]):
            if any(_goes_on(one, data, first + at) for one in self._heads[data[first + at :][:HEAD]]):
                return first + at
        shorter = (size - tail for tail in range(min(HEAD - 1, size), 0, -1) if data[-tail:] in self._tails)
        return next(shorter, size)

    def _places(self, data: bytes) -> Iterator[int]:
        """Where the head of a pattern stands.

        Each byte is looked up as the first, second, third and fourth of a head: which groups have it there. What all
        four agree to is left, for all places by one AND of numbers as long as the data.
        """
        marks = -1
        for place, table in enumerate(self._tables):
            marks &= int.from_bytes(data.translate(table), "little") >> (8 * place)
        if marks > 0:
            for found in _MARKED.finditer(marks.to_bytes(len(data), "little")):
                if data[found.start() : found.start() + HEAD] in self._heads:
                    yield found.start()


def _tables(heads: list[bytes]) -> list[bytes]:
    """For each place in a head, and each byte: the groups of heads that have it there. Neighbours share a group."""
    tables = [bytearray(256) for _ in range(HEAD)]
    for number, head in enumerate(heads):
        group = 1 << (number * GROUPS // len(heads))
        for table, byte in zip(tables, head, strict=True):
            table[byte] |= group
    return [bytes(one) for one in tables]


def _goes_on(pattern: bytes, data: bytes, at: int) -> bool:
    """Whether `data` ends, from `at` on, in a part of the pattern that is not all of it."""
    return len(pattern) > len(data) - at and pattern.startswith(data[at:])


class Stream:
    """One stream of output on its way: what comes out holds no secret."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._held = b""
        self._covered = 0  # so many bytes of what is held are part of a secret whose mask is out already

    def put(self, data: bytes, *, ended: bool = False) -> bytes:
        """What may pass now, of this and of what was held back."""
        if not self._redactor.patterns:
            return data
        data = self._held + data
        spans = self._redactor.spans(data, self._covered)
        keep = len(data) if ended else self._redactor.begins(data)
        if keep == 0:
            self._held = data
            return b""
        out, at = bytearray(), 0
        for start, end in spans:
            if start >= keep:
                break
            out += data[at:start]
            out += b"" if start == 0 and self._covered else MASK
            at = end
        out += data[at:keep]
        self._held, self._covered = data[keep:], max(0, at - keep)
        return bytes(out)


def forms(value: bytes) -> set[bytes]:
    """A value in each form in which programs print it; its lines one by one, where it has several."""
    lines = [line.strip() for line in value.splitlines()]
    found = {line for line in lines if len(line) >= LEAST} if len(lines) > 1 else set()
    for one in {value, value.strip()}:
        found |= {one, one.replace(b"\n", b"\r\n"), *_base64(one), *_hex(one), *_url(one)}
        try:
            text = one.decode()
        except UnicodeDecodeError:
            continue
        found |= {form.encode() for form in (*_json(text), *_shell(text))}
    return found


def _base64(value: bytes) -> Iterator[bytes]:
    """Whole, at each of three places in something longer, in both alphabets, and in lines as tools break it."""
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        whole = encode(value)
        yield from (whole, whole.rstrip(b"="))
        for width in (64, 76):
            if len(whole) > width:
                yield from (whole[at : at + width] for at in range(0, len(whole), width))
        for shift in range(3):
            inside = encode(bytes(shift) + value).rstrip(b"=")
            complete = (shift + len(value)) * 8 // 6  # the last character mixes with what follows
            yield inside[(shift * 8 + 5) // 6 : complete]


def _hex(value: bytes) -> Iterator[bytes]:
    whole = value.hex()
    for form in (whole, whole.upper()):
        yield form.encode()
        yield from (form[at : at + 60].encode() for at in range(0, len(form), 60) if len(form) > 60)


def _url(value: bytes) -> Iterator[bytes]:
    for form in (
        quote(value, safe=""),
        quote(value, safe="/"),
        quote(value, safe="!'()*"),
        quote_plus(value),
    ):
        yield form.encode()
        yield re.sub("%..", lambda found: found[0].lower(), form).encode()


def _json(text: str) -> Iterator[str]:
    """As JSON writers and Python's repr escape it."""
    for plain in (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]):
        yield from (plain, plain.replace("/", "\\/"))
        yield re.sub("[<>&']", lambda found: f"\\u{ord(found[0]):04x}", plain)
    yield from (repr(text)[1:-1], repr(text.encode())[2:-1])


def _shell(text: str) -> Iterator[str]:
    """Within single or double quotes, with backslashes, and as $'...'."""
    yield from (text.replace("'", mark) for mark in ("'\"'\"'", "'\\''"))
    yield re.sub(r'([\\"$`])', r"\\\1", text)
    yield re.sub(r"([^A-Za-z0-9_@%+=:,./\n-])", r"\\\1", text)
    yield text.translate({10: "\\n", 9: "\\t", 13: "\\r", 39: "\\'", 92: "\\\\"})
