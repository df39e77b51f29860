"""The manifest of a list: from where, of what, by which question, how many, by whom, when; and a digest of all that.

An auditor sends back a list that does not say so. `countersign-verify.py population` reads it without us, and the entry
of the list names its digest, so that nobody exchanges it together with its files.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from django.conf import settings

from audit.canonical import canonical
from audit.models import Checkpoint

NAME = "manifest.json"
VERIFY = (
    "python3 countersign-verify.py population manifest.json"
    " --bundle BUNDLE.zip --trust trust.json --state seen.json"
)
Files = list[dict[str, Any]]


def head(of: str, *, signed: Checkpoint, query: str, by: str, at: str) -> dict[str, Any]:
    """What every manifest says; `by` is the pseudonym of whoever asked."""
    return {
        "v": 1, "of": of, "instance": settings.LEDGER_ORIGIN, "software": settings.RELEASE, "checkpoint": signed.note,
        "size": signed.size, "query": query, "query_digest": sha256(query.encode()), "made_at": at, "made_by": by,
        "verify": VERIFY,
    }  # fmt: skip


def sealed(told: Mapping[str, Any]) -> tuple[bytes, str]:
    """Its bytes, for people to read too, and its digest: of all the rest in canonical form."""
    digest = sha256(canonical(told))
    return json.dumps({**told, "digest": digest}, indent=1).encode(), digest


def listed(name: str, pieces: Iterable[bytes], files: Files, *, heads: int | None = None) -> Iterator[bytes]:
    """The same pieces; at their end the file stands in `files` with its SHA-256, and with its rows where it has some.

    A piece is then a line, of which so many are `heads`.
    """
    seen, count = hashlib.sha256(), 0
    for piece in pieces:
        seen.update(piece)
        count += 1
        yield piece
    files.append({"name": name, "sha256": seen.hexdigest(), "rows": None if heads is None else count - heads})


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
