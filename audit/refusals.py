"""One way to say no. The code is stable; the sentence says what was not done and what to do.

`config/refusals.py` maps a refusal once to a page, to problem+json and to a ledger entry.
"""

from typing import ClassVar


class Refusal(Exception):
    """Base of every refusal.

    `code` is stable and machine-readable, `status` the HTTP status; `errors` names single faults by
    JSON pointer: `[{"pointer": "/inputs/version", "detail": "..."}]`.
    """

    code: ClassVar[str] = "refused"
    status: ClassVar[int] = 409

    def __init__(self, message: str, *, errors: list[dict[str, str]] | None = None) -> None:
        super().__init__(message)
        self.errors = errors or []


class NotAllowed(Refusal):
    """The person may see the thing but not do this with it."""

    code = "not_allowed"
    status = 403


class NotFound(Refusal):
    """There is no such thing, or its existence is a secret."""

    code = "not_found"
    status = 404


class Invalid(Refusal):
    """The input does not fit; `errors` says where."""

    code = "invalid"
    status = 422


class TooMany(Refusal):
    """Slow down; `retry_after` says for how many seconds."""

    code = "too_many_requests"
    status = 429

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class WeakensProtection(Refusal):
    """Something would be protected less than now; that takes more than one person's edit."""

    code = "weakens_protection"


class StaleVersion(Refusal):
    """Somebody changed it meanwhile."""

    code = "stale_version"


class MoveNotAllowed(Refusal):
    """The state does not allow this move."""

    code = "move_not_allowed"
