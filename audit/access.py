"""Who may read the log: whoever holds `audit.view_entry`, through a group or as an admin. Nobody by default."""

from typing import Any

from audit.refusals import NotAllowed

PERMISSION = "audit.view_entry"


def may_read(user: Any) -> bool:
    """Whether this account may read entries now."""
    return bool(user.is_authenticated and user.has_perm(PERMISSION))


def require_reader(user: Any) -> None:
    """NotAllowed for everybody else; that there is a log is no secret."""
    if not may_read(user):
        raise NotAllowed(
            "You cannot read the audit log. An admin can put you into a team of auditors, which may."
        )
