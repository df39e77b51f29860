"""One canonical JSON profile for hashing, storing and showing. Knows no Django.

A restricted RFC 8785: no floats, integers within 2**53 - 1, no duplicate keys. On this profile the standard
library's encoder gives the same bytes as RFC 8785; the tests hold it against two independent implementations.
"""

import hashlib
import json
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeAlias
from uuid import UUID

Json: TypeAlias = "bool | int | str | Sequence[Json] | Mapping[str, Json] | None"

MAX_INTEGER = 2**53 - 1  # the largest integer that every JSON reader keeps exact
MAX_DEPTH = 64


class NotCanonical(ValueError):
    """The value or bytes lie outside the profile."""


def canonical(value: Any) -> bytes:
    """The one byte string for `value`; NotCanonical when it lies outside the profile."""
    try:
        return json.dumps(_plain(value, depth=0), separators=(",", ":"), ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise NotCanonical("a string holds half a surrogate pair") from error


def parse(data: bytes) -> Any:
    """The value of canonical `data`; refuses duplicates, floats and any other spelling of the same value."""
    _check(data)
    return json.loads(data)


@lru_cache(maxsize=16)  # what runs is read at each of its steps; only what has passed is kept
def _check(data: bytes) -> None:
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_no_duplicates, parse_float=_no_float)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise NotCanonical(f"not JSON: {error}") from error
    if canonical(value) != data:
        raise NotCanonical("these bytes are not the canonical spelling of their value")


def digest(domain: str, value: Any) -> str:
    """`sha256:<hex>` over the domain, a zero byte and the canonical bytes."""
    return "sha256:" + hashlib.sha256(domain.encode() + b"\0" + canonical(value)).hexdigest()


def digest_of_pieces(domain: str, pieces: Iterable[bytes]) -> str:
    """The same where the canonical bytes come in pieces; that they are canonical is the caller's word."""
    hashed = hashlib.sha256(domain.encode() + b"\0")
    for piece in pieces:
        hashed.update(piece)
    return f"sha256:{hashed.hexdigest()}"


def uuid7() -> UUID:
    """A UUIDv7 (RFC 9562): sorts by the millisecond it was made, random in its other 74 bits."""
    stamp = time.time_ns() // 1_000_000
    value = (stamp << 80) | (0x7 << 76) | (secrets.randbits(12) << 64) | (0b10 << 62) | secrets.randbits(62)
    return UUID(int=value)


def _plain(value: Any, *, depth: int) -> Any:
    """The value as plain dicts and lists, keys in UTF-16 order as RFC 8785 section 3.2.3 says."""
    if depth > MAX_DEPTH:
        raise NotCanonical(f"nested deeper than {MAX_DEPTH}")
    match value:
        case None | bool() | str():
            return value
        case int() if abs(value) <= MAX_INTEGER:
            return value
        case Mapping():
            return {key: _plain(value[key], depth=depth + 1) for key in sorted(value, key=_utf16)}
        case list() | tuple():
            return [_plain(item, depth=depth + 1) for item in value]
        case _:
            raise NotCanonical(f"{value!r:.80} has no canonical form")


def _utf16(key: Any) -> bytes:
    if not isinstance(key, str):
        raise NotCanonical(f"the key {key!r:.80} is not a string")
    return key.encode("utf-16-be", "surrogatepass")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise NotCanonical("an object names a key twice")
    return value


def _no_float(text: str) -> Any:
    raise NotCanonical(f"{text} is a float")
