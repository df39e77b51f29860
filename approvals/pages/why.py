"""Why policy answered as it did, as rows of templates/components/policy_trace.html: the same everywhere."""

from collections.abc import Callable, Mapping
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from approvals.models import Bundle, Decision
from approvals.pages.policies import rule_url
from approvals.policy.why import Records, Why, explain
from audit.access import require_reader
from audit.canonical import canonical

Known = Callable[[Mapping[str, Any]], Records]  # what else facts could have named: the floor above knows
KINDS = {
    "deny": "denied",
    "require": "matched",
    "warn": "warning",
    "windows": "matched",
    "obligations": "matched",
}


def rows(whys: list[Why], bundle: Bundle) -> list[dict[str, Any]]:
    """One row a rule: the sentence it says, the rule in words and where it stands, what it read, what follows."""
    return [
        {
            "title": why.message,
            "words": why.title,
            "source": why.place,
            "url": rule_url(bundle.serial, why.place) if bundle.serial else "",  # a candidate has no page
            "read": [{"path": path, "value": _shown(value)} for path, value in why.read],
            "result": _result(why),
            "kind": KINDS[why.part],
            "counterfactual": why.otherwise,
        }
        for why in whys
    ]


def decided(known: Known) -> Any:
    """GET /policies/decisions/<id>/: a recorded decision as an auditor repeats it: input, bundle, answer, reasons."""

    @require_GET
    @login_required
    def decision(request: HttpRequest, key: str) -> HttpResponse:
        require_reader(request.user)
        found = get_object_or_404(Decision.objects.select_related("bundle"), pk=key)
        whys = explain(found.bundle, found.input, found.output, records=known(found.input))
        context = {
            "decision": found,
            "policy": policy(found.bundle),
            "rules": rows(whys, found.bundle),
            "facts": canonical(found.input).decode(),
            "output": canonical(found.output).decode(),
        }
        return render(request, "approvals/decision.html", context)

    return decision


def policy(bundle: Bundle) -> dict[str, str]:
    """Which bundle answered."""
    url = f"/policies/change/{bundle.serial}/"
    return {"name": f"bundle {bundle.serial}", "digest": bundle.digest, "url": url}


def _result(why: Why) -> str:
    answer = why.answer
    match why.part:
        case "require":
            return f"{answer['stage'].replace('_', ' ').capitalize()}: {answer['quorum']} needed"
        case "windows":
            return f"Starts from {answer['not_before']} to {answer['not_after']}"
        case "deny":
            return "Not allowed"
        case "obligations":
            return "To be done afterwards"
    return ""


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ", ".join(str(item) for item in value) or "none"
    return str(value)
