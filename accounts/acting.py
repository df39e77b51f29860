"""Who acts, and through what: made once at each door, handed down as `by=`. Nothing below asks a request."""

from dataclasses import dataclass
from typing import Literal

from accounts.models import User
from audit.ledger.entry import Actor


@dataclass(frozen=True)
class Acting:
    """An account and the credential it came with. A token may request, never sign off."""

    user: User
    auth: Literal["session", "token"]
    impersonated: bool = False

    @property
    def actor(self) -> Actor:
        """The same, as the ledger keeps it."""
        kind: Literal["person", "service"] = "person" if self.user.kind == User.Kind.PERSON else "service"
        return Actor(id=str(self.user.pk), kind=kind, auth=self.auth)
