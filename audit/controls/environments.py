"""The environments in which something was executed, as the ledger has them."""

from audit.controls.evaluate import known
from audit.models import Checkpoint


def environments(signed: Checkpoint | None) -> list[str]:
    """Up to this checkpoint, by name; none where nothing is sealed."""
    if signed is None:
        return []
    facts = known(signed.size, bytes(signed.root))
    return sorted({str(start.data["environment"]) for start in facts.starts})
