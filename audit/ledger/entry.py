"""The bytes of an entry: what is hashed, in which shape."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Actor:
    """Who acted, as the ledger keeps it: a pseudonymous id, never a name."""

    id: str
    kind: Literal["person", "service", "system"]
    auth: Literal["session", "token", "system"]


def system(name: str) -> Actor:
    """An actor that is no person: `system:reconciler`, `worker:<boot id>`."""
    return Actor(id=name, kind="system", auth="system")
