"""What reviewers do on the change page besides deciding. Each view fetches and authorises, then calls one writer."""

from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from accounts.acting import acting
from approvals import obligations
from approvals.models import Obligation
from orchestration import access, reviewing
from orchestration.models import Change, Revision


@require_POST
@login_required
def close_obligation(request: HttpRequest, key: str, obligation: UUID) -> HttpResponse:
    change = access.get_change_or_404(request.user, key)
    reviewing.close_obligation(change, obligation, note=request.POST.get("note", ""), by=acting(request))
    return redirect("orchestration:change", key=change.key)


def context(request: HttpRequest, change: Change, revision: Revision) -> dict[str, Any]:
    """The context of components/obligations.html."""
    rows = revision.chain.obligations.select_related("chain", "sign_off__user", "closed_by")
    return {"obligations": [_obligation(row, change, request.user) for row in rows]}


def _obligation(row: Obligation, change: Change, user: Any) -> dict[str, Any]:
    mine = row.state == "open" and obligations.may_close(row, user)
    return {
        "id": row.pk,
        "text": row.text,
        "state": row.state,
        "set_by": row.set_by,
        "rule": row.rule,
        "opened_at": row.opened_at,
        "closed_by": row.closed_by,
        "closed_at": row.closed_at,
        "note": row.note,
        "close_url": f"/changes/{change.key}/obligations/{row.pk}/close/" if mine else "",
    }
