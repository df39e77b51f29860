"""The stored checkpoints, each with who signed, cosigned and stamped it: what lies beside the entries of the log."""

from collections.abc import Iterator
from contextlib import suppress

from audit.controls.log import Seal
from audit.ledger import checkpoint as checkpoints
from audit.ledger import stamped, tsa, witnesses
from audit.ledger.note import BadNote, Verifier
from audit.ledger.record import timestamp
from audit.models import Checkpoint, Timestamp


def seals(size: int) -> Iterator[Seal]:
    """Every one up to this size, the smallest first."""
    try:
        keys = checkpoints.keys()
    except (OSError, ValueError):
        keys = ()
    policy, stamps = witnesses.policy(), _stamps(size)
    rows = Checkpoint.objects.filter(size__lte=size).order_by("size")
    if policy.need:
        rows = rows.prefetch_related("cosignatures")
    for row in rows.iterator(chunk_size=1000):
        lines = [one.line for one in row.cosignatures.all()] if policy.need else []
        witnessed = policy.is_met(row.text, lines) if policy.need else None
        at, stamp = timestamp(row.created_at), stamps.get(row.size)
        yield Seal(row.size, bytes(row.root), _signed(row, keys), at, witnessed, stamp)


def _signed(row: Checkpoint, keys: tuple[Verifier, ...]) -> bool | None:
    """Whether a key of ours signed what it says."""
    if not keys:
        return None
    try:
        signed = checkpoints.read(row.note, keys)
    except BadNote:
        return False
    return (signed.size, signed.root) == (row.size, bytes(row.root))


def _stamps(size: int) -> dict[int, str]:
    """The digest of each token by size: empty of one that is not over its checkpoint; one a day at most."""
    found = {}
    for kept in Timestamp.objects.filter(checkpoint__lte=size).select_related("checkpoint"):
        fault = ""
        with suppress(tsa.CannotCheck):  # the digest alone is held against the log then
            fault = stamped.fault_of(kept)
        found[kept.checkpoint_id] = "" if fault else tsa.Token(bytes(kept.reply), kept.at).digest
    return found
