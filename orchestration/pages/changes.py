"""The change page and its decisions. Each view fetches and authorises in one step, then calls one writer."""

from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from accounts.acting import acting
from approvals.passkeys import Assertion
from audit.ledger.record import record_refusal
from audit.refusals import Invalid, Refusal
from orchestration import access, asking, changes
from orchestration.models import Change, Plan, Revision
from orchestration.pages import (
    answering,
    attached,
    facts,
    fragments,
    glass,
    listing,
    log_view,
    planned,
    rail,
    reviewing,
    run_view,
    standing,
    stopped,
    story,
    times,
    trace,
)

PARTS = {"head", "planning", "found", "rail", "run", "log", "evidence", "timeline"}


@require_GET
@login_required
def index(request: HttpRequest) -> HttpResponse:
    """Every change the person may see, newest first, by search."""
    return render(request, "orchestration/changes.html", listing.changes(request))


@require_GET
@login_required
def detail(request: HttpRequest, key: str) -> HttpResponse:
    """One change: facts, differences, plan, policy, run, timeline, and the rail for this person."""
    return render(request, "orchestration/change.html", context(request, _fetch(request, key)))


@require_GET
@login_required
def live(request: HttpRequest, key: str, part: str) -> HttpResponse:
    """One region of the page as it is now, drawn by the template that drew the page."""
    if part not in PARTS:
        raise Http404
    return fragments.answer(
        request, f"orchestration/parts/{part}.html", context(request, _fetch(request, key))
    )


@require_POST
@login_required
def decide(request: HttpRequest, key: str) -> HttpResponse:
    """One person's decision on one stage; a refusal redraws the page with what was typed."""
    change, posted = _fetch(request, key), request.POST
    try:
        _check_looked_at(change, posted.get("decision", ""), posted.getlist("opened"))
        access.require_recent(request, change)
        changes.decide(
            change,
            stage=_stage(posted.get("stage", "")),
            decision=posted.get("decision", ""),
            digest=posted.get("digest", ""),
            chain_digest=posted.get("chain_digest", ""),
            comment=posted.get("comment", ""),
            condition=posted.get("condition", ""),
            passkey=_assertion(posted),
            by=acting(request),
        )
    except Refusal as refusal:
        record_refusal(refusal, attempted="change.decide", subject=change.key, actor=acting(request).actor)
        page = context(request, _fetch(request, key), refused=refusal)
        return render(request, "orchestration/change.html", page, status=refusal.status)
    return redirect("orchestration:change", key=change.key)


@require_POST
@login_required
def withdraw_sign_off(request: HttpRequest, key: str, sign_off: UUID) -> HttpResponse:
    change = _fetch(request, key)
    changes.withdraw_sign_off(change, sign_off, by=acting(request))
    return redirect("orchestration:change", key=change.key)


@require_POST
@login_required
def withdraw(request: HttpRequest, key: str) -> HttpResponse:
    change = _fetch(request, key)
    changes.withdraw(change, by=acting(request))
    return redirect("orchestration:change", key=change.key)


@require_POST
@login_required
def start(request: HttpRequest, key: str) -> HttpResponse:
    """Only asks: the gate answers when a worker claims the first step."""
    change = _fetch(request, key)
    changes.start(change, by=acting(request))
    return redirect("orchestration:change", key=change.key)


@require_POST
@login_required
def cancel(request: HttpRequest, key: str) -> HttpResponse:
    change = _fetch(request, key)
    changes.cancel(change, by=acting(request))
    return redirect("orchestration:change", key=change.key)


@require_POST
@login_required
def comment(request: HttpRequest, key: str) -> HttpResponse:
    change = _fetch(request, key)
    changes.comment(change, text=request.POST.get("text", ""), by=acting(request))
    return redirect("orchestration:change", key=change.key)


def context(request: HttpRequest, change: Change, refused: Refusal | None = None) -> dict[str, object]:
    """All that the change page shows; each part is made in a room of its own."""
    content = asking.content_of(change)
    compared, differences = facts.unusual(change, content)
    runs = change.runs.planning() if isinstance(content, Plan) else change.runs.applying()
    run = runs.order_by("-number").first()
    return {
        "change": change,
        "revision": content,
        "number": content.revises if isinstance(content, Plan) else content.number,
        "run": run,
        **standing.context(request.user, run),
        "facts": facts.six(change, content),
        "compared": compared,
        "differences": differences,
        "plan": facts.plan(content),
        **planned.context(request, change, content),
        **times.context(change, content),
        **attached.context(request, change, content),
        "policy": trace.policy(content),
        "rules": trace.rules(content),
        "entries": story.of(change),
        **run_view.context(run, content, first=log_view.first_line(request)),
        **answering.context(request.user, run),
        **_beside(request, change, content, refused),
        "strips": [*glass.of(change), *stopped.of(request, change)],
        "incident": facts.incident(content),
        "rollbacks": change.rolled_back_by.order_by("number"),
        "review": glass.review(change, request.user),
    }


def _beside(
    request: HttpRequest, change: Change, content: Revision | Plan, refused: Refusal | None
) -> dict[str, object]:
    """The rail; while something is planned nobody is asked."""
    if isinstance(content, Plan):
        return {**rail.planning(request, change), **reviewing.asked(change, request.user)}
    beside = rail.context(request, change, content, refused)
    return {**beside, **reviewing.context(request, change, content, beside["seats"])}


def _fetch(request: HttpRequest, key: str) -> Change:
    return access.get_change_or_404(request.user, key)


def _check_looked_at(change: Change, decision: str, opened: list[str]) -> None:
    """At high risk an approval says that each flagged step was opened; saying no never needs it."""
    if change.risk != "high" or not decision.startswith("approve"):
        return
    left = [flag["title"] for flag in rail.flags(change) if flag["id"] not in opened]
    if left:
        raise Invalid(f"Your decision was not saved. Open {' and '.join(left)} first, then decide.")


def _assertion(posted: QueryDict) -> Assertion | None:
    """What the browser signed with a passkey, if it did: static/src/js/passkey.js."""
    names = ("credential_id", "authenticator_data", "client_data", "signature")
    given = [posted.get(f"passkey_{name}", "") for name in names]
    return Assertion(*given) if any(given) else None


def _stage(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise Invalid("Your decision was not saved: it names no stage. Reload the page.") from None
