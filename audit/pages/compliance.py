"""What was tested, over which population, with which evidence. Shows what the ledger says; must never judge itself."""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_POST, require_safe

from audit.access import require_reader
from audit.controls.catalogue import control, controls
from audit.controls.evaluate import Report, Tested, known
from audit.ledger.entry import Actor
from audit.names import Names
from audit.reports import controls as reports

PICKED = ("from", "to", "environment", "checkpoint")
PAGE = 100  # rows of evidence
WORDS = {
    "effective": ("passed", "Effective"),
    "effective_with_exceptions": ("exception", "Effective with exceptions"),
    "not_effective": ("failed", "Not effective"),
    "not_tested": ("not_tested", "Nothing was tested"),
}
ITEMS = {
    "pass": ("passed", "Passed"),
    "fail": ("failed", "Failed"),
    "exception": ("exception", "Exception"),
    "na": ("not_tested", "Does not apply"),
    "indeterminate": ("unknown", "Cannot tell"),
}
WORST_FIRST = ("not_effective", "effective_with_exceptions", "not_tested", "effective")


@require_safe
@login_required
def index(request: HttpRequest) -> HttpResponse:
    """Every control test over the chosen period, the worst first."""
    require_reader(request.user)
    asked = _asked(request)
    try:
        report = reports.asked_report(asked)
    except reports.NothingSealed:
        return render(request, "audit/compliance.html", {"rows": None, "controls": controls().values()})
    rows = sorted(report.tested, key=lambda one: WORST_FIRST.index(one.result))
    context = {
        "rows": [_summary(one, asked) for one in rows],
        "tiles": _tiles(report),
        **_picker(report, asked, action="/compliance/"),
    }
    return render(request, "audit/compliance.html", context)


@require_safe
@login_required
def detail(request: HttpRequest, key: str) -> HttpResponse:
    """One control test: what it means, what it found, and the evidence for each item."""
    require_reader(request.user)
    chosen, asked = control(key), _asked(request)
    try:
        report = reports.asked_report(asked)
    except reports.NothingSealed:
        return render(request, "audit/control.html", {"control": chosen, "shown": None})
    tested = report.of(chosen.id)
    only = request.GET.get("result", "")
    rows = [row for row in reversed(tested.rows) if only in ("", row["result"])]
    first = _number(request.GET.get("first", ""))
    context = {
        "control": chosen,
        "shown": _people(rows[first : first + PAGE]),
        "older": _link({**asked, "result": only, "first": str(first + PAGE)})
        if len(rows) > first + PAGE
        else "",
        "newer": _link({**asked, "result": only, "first": str(max(0, first - PAGE))}) if first else "",
        "tabs": _tabs(tested, asked, only),
        "total": tested.population,
        "summary": _summary(tested, asked),
        "report_digest": report.digest,
        **_picker(report, asked, action=f"/compliance/controls/{chosen.id}/"),
    }
    return render(request, "audit/control.html", context)


def exporter(actor_of: Callable[[HttpRequest], Actor]) -> Callable[..., HttpResponseBase]:
    """The evidence as CSV. A POST: that it left the house is an entry."""

    @require_POST
    @login_required
    def export(request: HttpRequest, key: str) -> HttpResponseBase:
        require_reader(request.user)
        asked = {name: request.POST.get(name, "") for name in PICKED}
        report = reports.asked_report(asked)
        made = reports.evidence(report, key, by=actor_of(request))
        name = f"{control(key).id}-checkpoint-{report.checkpoint.size}.csv"
        disposition = {"Content-Disposition": f'attachment; filename="{name}"'}
        return StreamingHttpResponse(
            made.pieces(), content_type="text/csv; charset=utf-8", headers=disposition
        )

    return export


def _asked(request: HttpRequest) -> dict[str, str]:
    return {name: value for name in PICKED if (value := request.GET.get(name, ""))}


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _link(asked: dict[str, str]) -> str:
    return "?" + urlencode({name: value for name, value in asked.items() if value})


def _summary(tested: Tested, asked: dict[str, str]) -> dict[str, Any]:
    state, words = WORDS[tested.result]
    url = f"/compliance/controls/{tested.control.id}/" + (_link(asked) if asked else "")
    return {"tested": tested, "state": state, "words": words, "url": url, "counts": tested.counts}


def _tiles(report: Report) -> list[dict[str, Any]]:
    results = [one.result for one in report.tested]
    bad, excused = results.count("not_effective"), results.count("effective_with_exceptions")
    untested = results.count("not_tested")
    total = len(results)
    return [
        {"label": "Not effective", "value": bad, "note": f"of {total} control tests", "state": _worse(bad, "failed")},
        {"label": "With exceptions", "value": excused, "note": f"of {total}", "state": _worse(excused, "exception")},
        {"label": "Not tested", "value": untested, "note": f"of {total}: nothing to test"},
        {"label": "Sealed entries", "value": report.checkpoint.size, "note": "all were read, none sampled"},
    ]  # fmt: skip


def _worse(count: int, state: str) -> str:
    return state if count else ""


def _picker(report: Report, asked: dict[str, str], *, action: str) -> dict[str, Any]:
    """What was chosen, and what can be."""
    facts = known(report.checkpoint.size, bytes(report.checkpoint.root))
    return {
        "asked": asked,
        "action": action,
        "since": asked.get("from", ""),
        "until": asked.get("to", ""),
        "chosen_environment": asked.get("environment", ""),
        "environments": sorted({str(start.data["environment"]) for start in facts.starts}),
        "checkpoint": report.checkpoint,
    }


def _tabs(tested: Tested, asked: dict[str, str], only: str) -> list[dict[str, Any]]:
    every = {"label": "All", "url": _link(asked) or "?", "count": tested.population, "current": not only}
    some = [
        {
            "label": ITEMS[result][1],
            "url": _link({**asked, "result": result}),
            "count": count,
            "current": only == result,
        }
        for result, count in tested.counts.items()
        if count or only == result
    ]
    return [every, *some]


def _people(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with names, and with times as times."""
    names = Names(
        actor for row in rows for actor in (row["requester_actor"], *row["approver_actors"]) if actor
    )
    return [_person_row(row, names, datetime.fromisoformat(row["started_at"] or row["at"])) for row in rows]


def _person_row(row: dict[str, Any], names: Names, started: datetime) -> dict[str, Any]:
    called = [names.both(actor or "", started) or "unknown" for actor in row["approver_actors"]]
    return {
        **row,
        "state": ITEMS[row["result"]],
        "requester_name": names.both(row["requester_actor"] or "", started) or "unknown",
        "approver_names": called,
        "started": started,
        "approved_before": _seconds_before(row),
    }


def _seconds_before(row: dict[str, Any]) -> float | None:
    """Seconds between the last approval and the start."""
    if row["approved_at"] is None:
        return None
    started, approved = (datetime.fromisoformat(row[name]) for name in ("started_at", "approved_at"))
    return (started - approved).total_seconds()
