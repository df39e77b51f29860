"""The entry of what leaves the house as a file: what it is of, how much, and the digest of the file."""

from django.db import transaction

from audit.canonical import Json
from audit.ledger.entry import Actor
from audit.ledger.personal import Erasable
from audit.ledger.record import record


def left(what: str, *, query: str, rows: int, digest: str, by: Actor, **more: Json) -> None:
    """Record it; `more` is what this kind of file tells besides. What was searched may name people."""
    with transaction.atomic():
        record(
            "export.created", of=None, subject="ledger", actor=by, what=what, query=Erasable(query), rows=rows,
            digest=digest, **more,
        )  # fmt: skip
