"""The environments in which something was executed, as the ledger has them."""

from audit.controls.evaluate import known
from audit.models import Checkpoint, Leaf


def environments(signed: Checkpoint | None) -> list[str]:
    """Up to this checkpoint, by name; none where nothing is sealed."""
    if signed is None:
        return []
    facts = known(signed.size, bytes(signed.root))
    return sorted({str(start.data["environment"]) for start in facts.starts})


def is_known(name: str, signed: Checkpoint) -> bool:
    """Whether the ledger tells of it: it was made, or something was executed in it."""
    made = Leaf.objects.filter(
        kind="environment.created", subject=f"environment:{name}", index__lt=signed.size
    )
    return made.exists() or name in environments(signed)
