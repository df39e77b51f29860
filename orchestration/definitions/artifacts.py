"""Which artifacts somebody names: what is called by its content, so that it can be found again. Pure."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

NAMED = re.compile(r"(?<![0-9a-f])(?:sha256:[0-9a-f]{64}|[0-9a-f]{40})(?![0-9a-f])")  # a digest, or a commit
MOST = 100


def found(values: Iterable[Any]) -> list[str]:
    """The digests of content and the commits in these values, however deep, each once and in order."""
    return sorted({name for text in _texts(values) for name in NAMED.findall(text)})[:MOST]


def _texts(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, Mapping):
            yield from _texts(value.values())
        elif isinstance(value, list):
            yield from _texts(value)
