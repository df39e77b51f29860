"""What people do about a change besides deciding on it: close an obligation. Gives nobody authority over a run.

Each function authorises on the change, locks it, and calls one writer below.
"""

from uuid import UUID

from django.db import transaction

from accounts.acting import Acting
from approvals import obligations
from approvals.models import Obligation
from orchestration import access
from orchestration.asking import current_revision
from orchestration.changes import tell
from orchestration.engine.rows import lock_change
from orchestration.models import Change


def close_obligation(change: Change, obligation: UUID, *, note: str, by: Acting) -> Obligation:
    """A reviewer says that a condition is met."""
    access.require_sign_off(by.user, change)
    with transaction.atomic():
        change = lock_change(change.pk)
        closed = obligations.close(current_revision(change).chain, obligation, note=note, by=by)
        tell(change)
    return closed
