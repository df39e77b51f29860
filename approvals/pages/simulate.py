"""What a candidate would say: one past decision or one input, judged by it beside the policy that judges now.

Stores nothing, starts nothing and decides nothing. Whose past change may be looked at is the floor above's answer.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods

from approvals.models import Bundle, Decision
from approvals.pages import why as shown
from approvals.policy import bundles, candidates, commits, preview, replay
from approvals.policy.decisions import try_out
from approvals.policy.engine import PolicyRefused, PolicyUnavailable
from approvals.policy.why import Records, explain
from audit.refusals import Invalid, NotFound, Refusal

VERDICTS = {
    replay.Kind.SAME: ("succeeded", "The same people are asked."),
    replay.Kind.NEWLY_BLOCKED: ("denied", "It would be blocked."),
    replay.Kind.NEWLY_NEEDS_APPROVAL: ("warning", "It would need more approval."),
    replay.Kind.NEWLY_ALLOWED: ("warning", "It would be allowed."),
    replay.Kind.CHANGED: ("warning", "Fewer would be asked, or in another order."),
}
LISTED = 20
May = Callable[[Any, str], bool]


def simulator(may_see: May, known: shown.Known) -> Callable[[HttpRequest], Any]:
    """GET and POST /policies/simulate/. `may_see(user, "CHG-12")` is given by the floor that knows changes.

    A GET names its change in the address, to be shared; where it names none, the newest that one may see is there.
    """

    @require_http_methods(["GET", "POST"])
    @login_required
    def simulate(request: HttpRequest) -> HttpResponse:
        given = {name: request.POST.get(name, request.GET.get(name, "")) for name in FIELDS}
        context: dict[str, Any] = {
            "given": given,
            "candidates": candidates.listed(),
            "files": candidates.files(),
            "branches": commits.place() is not None,
        }
        if request.method == "GET" and not given["change"]:
            given["change"] = _newest(request, may_see)
        if request.method == "GET" and not given["change"]:
            return render(request, "approvals/simulate.html", context)
        try:
            context |= _result(given, request, may_see, known)
        except Refusal as refusal:
            context["errors"] = refusal.errors or [{"pointer": "", "detail": str(refusal)}]
            return render(request, "approvals/simulate.html", context, status=refusal.status)
        return render(request, "approvals/simulate.html", context)

    return simulate


FIELDS = ("candidate", "branch", "file", "text", "change", "input")


def sides(
    other: Bundle,
    facts: Mapping[str, Any],
    *,
    judged_by: Bundle,
    before: Any,
    after: Any,
    reason: str,
    records: Records,
) -> dict[str, Any]:
    """Two answers to the same facts, as approvals/sides.html shows them."""
    state, words = VERDICTS[replay.compare(before, after)]
    return {
        "verdict": {"state": state, "words": words},
        "before": shown.rows(explain(judged_by, facts, before, records=records), judged_by),
        "after": shown.rows(explain(other, facts, after, records=records), other) if after else [],
        "reason": reason,
        "policy": shown.policy(judged_by),
        "digest": other.digest,
    }


def _newest(request: HttpRequest, may_see: May) -> str:
    """The change that was decided about last, of those that one may see."""
    keys = Decision.objects.order_by("-decided_at").values_list("input__change__id", flat=True)[:LISTED]
    return next((key for key in dict.fromkeys(keys) if may_see(request.user, key)), "")


def asked(given: Mapping[str, str]) -> bundles.Candidate:
    """The candidate that a form names."""
    return candidates.chosen(
        given["candidate"], branch=given["branch"], file=given["file"], text=given["text"]
    )


def _result(
    given: Mapping[str, str], request: HttpRequest, may_see: May, known: shown.Known
) -> dict[str, Any]:
    facts = _facts(given, request, may_see)
    active = bundles.active()
    candidate = asked(given)
    before, after, reason = preview(facts), None, ""
    try:
        after = try_out(candidate, facts)
    except (PolicyRefused, PolicyUnavailable) as refused:
        reason = str(refused)
    other = Bundle(
        digest=candidate.digest, sources=dict(candidate.sources), rules=[vars(one) for one in candidate.rules]
    )
    return {
        **sides(
            other, facts, judged_by=active, before=before, after=after, reason=reason, records=known(facts)
        ),
        "candidate_name": candidates.name(candidate),
        "failures": candidate.failures,
        "warnings": candidate.warnings,
    }


def _facts(given: Mapping[str, str], request: HttpRequest, may_see: May) -> dict[str, Any]:
    key = given["change"].strip().upper()
    if not key:
        return _typed(given["input"])
    last = Decision.objects.filter(input__change__id=key).order_by("-decided_at").first()
    if last is None or not may_see(request.user, key):
        raise NotFound(f"There is no change {key[:30]} that you may see; nothing was simulated.")
    facts: dict[str, Any] = last.input
    return facts


def _typed(text: str) -> dict[str, Any]:
    try:
        facts = json.loads(text)
    except (ValueError, RecursionError) as error:
        detail = f"Name a change, or give the input as JSON: {error}."
        raise Invalid(
            f"Nothing was simulated. {detail}", errors=[{"pointer": "/input", "detail": detail}]
        ) from error
    if not isinstance(facts, dict):
        detail = "Name a change, or give the input as a JSON object."
        raise Invalid(f"Nothing was simulated. {detail}", errors=[{"pointer": "/input", "detail": detail}])
    return facts
