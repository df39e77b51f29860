"""The rules as people read them: titles, source with lines, tests, history. Shows; must never evaluate or change."""

from datetime import timedelta
from typing import Any

from django.contrib.auth.decorators import login_required
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from approvals.models import Bundle, Decision
from approvals.pages import commits
from audit.refusals import NotFound

DAYS = 30
ANSWERS = {
    "require": "Asks for approval",
    "deny": "Denies",
    "warn": "Warns",
    "windows": "Sets a window",
    "obligations": "Leaves an obligation",
}


def rule_url(serial: int, place: str) -> str:
    """Where `production.rego:18` of this bundle is shown."""
    file, _, line = place.rpartition(":")
    return f"/policies/change/{serial}/#{_anchor(file, int(line))}"


@require_GET
@login_required
def index(request: HttpRequest) -> HttpResponse:
    """The bundles, the active one first."""
    bundles = list(Bundle.objects.order_by("-serial")[:50])
    active = next((one for one in bundles if one.active), None)
    context = {
        "bundles": [_summary(one) for one in bundles],
        "active": active,
        "rules": _rules(active) if active else [],
        "numbers": _numbers(active) if active else None,
        "days": DAYS,
        "git": commits.kept(request),
    }
    return render(request, "approvals/policies.html", context)


@require_GET
@login_required
def detail(request: HttpRequest, serial: int | None = None) -> HttpResponse:
    """One bundle: rules, source, tests, history."""
    chosen = Bundle.objects.filter(active=True) if serial is None else Bundle.objects.filter(serial=serial)
    bundle = chosen.first()
    if bundle is None:
        raise NotFound("There is no such version of the policy.")
    context = {
        "bundle": bundle,
        "rules": _rules(bundle),
        "tests": [{**one, "words": _words(one["name"]), "url": _url(bundle, one)} for one in bundle.tests],
        "files": [_file(path, text) for path, text in sorted(bundle.sources.items())],
        "history": [_summary(one) for one in Bundle.objects.order_by("-serial")[:20]],
    }
    return render(request, "approvals/policy.html", context)


def _summary(bundle: Bundle) -> dict[str, Any]:
    return {
        "bundle": bundle,
        "url": f"/policies/change/{bundle.serial}/",
        "state": "active" if bundle.active else "retired",
        "rules": len(bundle.rules),
        "tests": len(bundle.tests),
    }


def _rules(bundle: Bundle) -> list[dict[str, Any]]:
    """What answers, demands first."""
    order = list(ANSWERS)
    rows = sorted(bundle.rules, key=lambda one: (order.index(one["answers"]), one["place"]))
    return [
        {**one, "words": ANSWERS[one["answers"]], "url": rule_url(bundle.serial, one["place"])}
        for one in rows
    ]


def _numbers(bundle: Bundle) -> dict[str, int]:
    """What this bundle decided lately."""
    lately = Decision.objects.filter(bundle=bundle, decided_at__gte=timezone.now() - timedelta(days=DAYS))
    told: dict[str, int] = lately.aggregate(
        asked=Count("pk"),
        denied=Count("pk", filter=~Q(output__deny=[])),
        warned=Count("pk", filter=~Q(output__warn=[])),
    )
    return told


def _file(path: str, text: str) -> dict[str, Any]:
    lines = [
        {"number": number, "anchor": _anchor(path, number), "text": line}
        for number, line in enumerate(text.splitlines(), start=1)
    ]
    return {"path": path, "lines": lines, "test": path.endswith("_test.rego")}


def _url(bundle: Bundle, test: dict[str, Any]) -> str:
    return rule_url(bundle.serial, f"{test['file']}:{test['line']}")


def _words(name: str) -> str:
    return name.removeprefix("test_").replace("_", " ").capitalize()


def _anchor(path: str, line: int) -> str:
    return f"{path}-L{line}"
