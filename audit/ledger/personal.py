"""What people typed and what they are called, kept out of the log: an entry holds a salted commitment alone.

The opening (salt and text) lies in a table that can be erased, and whoever has it can still show that it is what was
sealed. Without the salt nobody can guess. Knows no Django.
"""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from typing import Any, NamedTuple

from audit.canonical import canonical

ERASED = "(erased)"  # what stands in the place of a text that is gone


class Erasable(str):
    """A text that may name people: `record()` puts a commitment into the entry and the text beside it."""

    __slots__ = ("salt",)
    salt: bytes

    def __new__(cls, text: str, *, salt: bytes | memoryview | None = None) -> "Erasable":
        made = super().__new__(cls, text)
        made.salt = new_salt() if salt is None else bytes(salt)
        return made


class Opened(NamedTuple):
    """The opening of one commitment: with it, anybody can compute the commitment again."""

    path: str
    salt: bytes
    value: str

    @property
    def commitment(self) -> str:
        return commitment(self.salt, self.path, self.value)


def new_salt() -> bytes:
    """32 bytes that nobody guesses."""
    return secrets.token_bytes(32)


def commitment(salt: bytes, path: str, value: str) -> str:
    """HMAC-SHA256 with the salt as its key, over the path, a zero byte and the canonical value."""
    return hmac.new(salt, path.encode() + b"\0" + canonical(value), hashlib.sha256).hexdigest()


def split(data: Mapping[str, Any]) -> tuple[dict[str, Any], list[Opened]]:
    """What stands in the entry as it is, and what it only commits to. An empty text tells of nobody."""
    kept = {name: value for name, value in data.items() if not (isinstance(value, Erasable) and value)}
    hidden = {name: value for name, value in data.items() if isinstance(value, Erasable) and value}
    return kept, [Opened(f"data.{name}", one.salt, str(one)) for name, one in sorted(hidden.items())]


def filled(said: Mapping[str, Any], texts: Mapping[str, str]) -> dict[str, Any]:
    """The data of an entry with its texts by their paths; where one is gone, that it is."""
    hidden = {path: texts.get(path, ERASED) for path in said.get("sd", {})}
    return {**said["data"], **{path.removeprefix("data."): text for path, text in hidden.items()}}
