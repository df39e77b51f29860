"""What reviewers do on the change page besides deciding. Each view fetches and authorises, then calls one writer."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from accounts.acting import acting
from approvals import claims, obligations
from approvals.models import Obligation, Stage
from audit.refusals import Invalid
from orchestration import access, changes, reviewing
from orchestration.asking import BEFORE_START
from orchestration.models import Change, Comment, Revision


@require_POST
@login_required
def close_obligation(request: HttpRequest, key: str, obligation: UUID) -> HttpResponse:
    note = request.POST.get("note", "")
    reviewing.close_obligation(_fetch(request, key), obligation, note=note, by=acting(request))
    return redirect("orchestration:change", key=key)


@require_POST
@login_required
def claim(request: HttpRequest, key: str) -> HttpResponse:
    reviewing.claim(_fetch(request, key), stage=_id(request, "stage"), by=acting(request))
    return redirect("orchestration:change", key=key)


@require_POST
@login_required
def release(request: HttpRequest, key: str) -> HttpResponse:
    reviewing.release(_fetch(request, key), by=acting(request))
    return redirect("orchestration:change", key=key)


@require_POST
@login_required
def hand_over(request: HttpRequest, key: str) -> HttpResponse:
    note = request.POST.get("note", "")
    reviewing.hand_over(
        _fetch(request, key),
        stage=_id(request, "stage"),
        to=_id(request, "to"),
        note=note,
        by=acting(request),
    )
    return redirect("orchestration:change", key=key)


@require_POST
@login_required
def ask(request: HttpRequest, key: str) -> HttpResponse:
    reviewing.ask(_fetch(request, key), text=request.POST.get("text", ""), by=acting(request))
    return redirect("orchestration:change", key=key)


@require_POST
@login_required
def recuse(request: HttpRequest, key: str) -> HttpResponse:
    changes.recuse(_fetch(request, key), reason=request.POST.get("reason", ""), by=acting(request))
    return redirect("orchestration:change", key=key)


@require_POST
@login_required
def answer(request: HttpRequest, key: str, question: UUID) -> HttpResponse:
    reviewing.answer(_fetch(request, key), question, text=request.POST.get("text", ""), by=acting(request))
    return redirect("orchestration:change", key=key)


def context(
    request: HttpRequest, change: Change, revision: Revision, mine: Sequence[Stage]
) -> dict[str, Any]:
    """The contexts of components/beside.html, questions.html and obligations.html."""
    rows = revision.chain.obligations.select_related("chain", "sign_off__user", "closed_by")
    return {
        "beside": _beside(request, change, revision, mine),
        "questions": _questions(change, request.user),
        "obligations": [_obligation(row, change, request.user) for row in rows],
    }


def asked(change: Change, user: Any) -> dict[str, Any]:
    """The same of a change without a chain: questions alone."""
    return {"beside": None, "questions": _questions(change, user), "obligations": []}


def _beside(
    request: HttpRequest, change: Change, revision: Revision, mine: Sequence[Stage]
) -> dict[str, Any] | None:
    """What this person can do about a decision besides making it; None for whom no stage asks, or asked."""
    user, chain = acting(request).user, revision.chain
    signed = chain.sign_offs.filter(person=user.person_id, withdrawn_at=None).exists()
    if not mine and not (signed and change.state in BEFORE_START):
        return None
    granted = access.who_may_sign_off(change)
    return {
        "url": f"/changes/{change.key}/",
        "requester": change.requester.name,
        "signed": signed,
        "claimed": any(one.user_id == user.pk for one in claims.current(chain)),
        "stages": [{"id": stage.pk, "name": stage.name} for stage in mine],
        "colleagues": [
            {
                "stage": stage,
                "people": [one for one in claims.colleagues(chain, stage, user) if one.user in granted],
            }
            for stage in mine
        ],
    }


def _questions(change: Change, user: Any) -> list[dict[str, Any]]:
    """What was asked about this change, with the answers."""
    asked = change.comments.filter(kind=Comment.Kind.QUESTION).select_related("author").order_by("created_at")
    may_answer = user.person_id == change.requester.person_id
    found = []
    for one in asked.prefetch_related("answered_by__author"):
        answers = sorted(one.answered_by.all(), key=lambda said: said.created_at)
        url = f"/changes/{change.key}/questions/{one.pk}/answer/"
        found.append({"row": one, "answers": answers, "url": url if may_answer and not answers else ""})
    return found


def _fetch(request: HttpRequest, key: str) -> Change:
    return access.get_change_or_404(request.user, key)


def _id(request: HttpRequest, name: str) -> UUID:
    """What a select or a hidden field named."""
    try:
        return UUID(request.POST.get(name, ""))
    except ValueError:
        raise Invalid(f"Nothing was done: choose a {'colleague' if name == 'to' else name}.") from None


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
