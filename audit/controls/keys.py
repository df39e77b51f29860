"""Sessions and tokens: until when each opens something, as the ledger tells."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime

from audit.controls.told import Told
from audit.ledger.record import timestamp


@dataclass
class Keys:
    """By account. What is over is forgotten; one of which nobody told an end, as once, is not kept."""

    opens: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))

    def add(self, told: Told) -> None:
        """Take one entry in, in the order of the log."""
        account = told.data.get("account") or told.subject.removeprefix("account:")
        key, until = told.data.get("session") or told.stream, told.data.get("expires_at")
        opens = self.opens[account]
        if told.kind in {"session.ended", "token.revoked"}:
            if key in opens:
                opens[key] = min(opens[key], told.time)
        elif until:
            left = {one: end for one, end in opens.items() if end > told.time}
            self.opens[account] = {**left, key: timestamp(datetime.fromisoformat(until))}

    def open_after(self, account: str, time: str) -> list[str]:
        """Those of an account that still opened something then."""
        return [key for key, until in self.opens.get(account, {}).items() if until > time]
