"""Each worker is a witness of the log: it keeps the newest checkpoint that it saw, outside the database, and starts
nothing under one that does not begin with it.

So whoever rewrites the log, even with the signer's stolen key, has to take over every host where workers run, too.
"""

from functools import cache

from approvals import known
from approvals.closed import LedgerForked
from audit.ledger import checkpoint, merkle, succession
from audit.ledger.checkpoint import Signed
from audit.ledger.integrate import tile
from audit.ledger.note import BadNote
from audit.ledger.tiles import nodes


def check() -> None:
    """LedgerForked when the newest checkpoint does not follow what is remembered; else it is remembered."""
    seen = known.log()  # before the question: others here may see newer ones meanwhile
    newest = checkpoint.latest()
    if newest is None:
        if seen is not None:
            raise LedgerForked(f"No checkpoint is left of the log, but {seen[0]} entries were signed before.")
        return
    if seen == (newest.size, bytes(newest.root)):
        return
    try:
        signed = checkpoint.read(newest.note, succession.followed(checkpoint.keys(), newest.size))
        follows = seen is None or _begins_with(signed, *seen)
    except (BadNote, LookupError, FileNotFoundError) as bad:
        raise LedgerForked(f"The newest checkpoint of the log cannot be believed: {bad}.") from bad
    if not follows:
        raise LedgerForked(
            f"The log of {signed.size} entries does not begin with the {seen[0] if seen else 0} that workers here have"
            " seen, so nothing starts. Keep the database as it is, and run: manage.py ledger verify"
        )
    known.see_log(signed.size, signed.root)


def _begins_with(signed: Signed, size: int, root: bytes) -> bool:
    if signed.size < size:
        return False
    proof = merkle.consistency(size, signed.size, nodes(cache(tile)))
    return merkle.consistent(size, root, signed.size, signed.root, proof)
