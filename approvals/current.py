"""Whether the log keeps up: what is not recorded in time must not be done. The gate asks, and a probe tries it out."""

from approvals import witness
from approvals.closed import LedgerBehind
from audit.ledger.freshness import lag

MAX_PENDING = 20_000  # entries that no checkpoint covers yet
MAX_LAG_SECONDS = 60


def check() -> int:
    """The size of the log, when it is the one of before and keeps up; LedgerForked or LedgerBehind when not."""
    witness.check()
    behind = lag()
    if behind.pending > MAX_PENDING or behind.oldest_seconds > MAX_LAG_SECONDS:
        raise LedgerBehind(
            f"The ledger is behind ({behind.pending} entries wait, the oldest for {behind.oldest_seconds:.0f} s),"
            " so nothing starts until it has caught up.",
        )
    return behind.size
