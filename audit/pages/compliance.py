"""What was tested, over which population, with which evidence. Shows what the ledger says; must never judge itself."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_POST, require_safe

from audit.access import require_reader
from audit.clock import database_time
from audit.controls.catalogue import control, controls
from audit.controls.environments import environments
from audit.controls.evaluate import Report, Tested
from audit.ledger.entry import Actor
from audit.pages.charts import Bar, Part, columns
from audit.pages.evidence import ITEMS, people
from audit.pages.picked import or_named
from audit.pages.trail import monthly
from audit.refusals import Invalid
from audit.reports import controls as reports
from audit.reports import frameworks, metrics
from audit.rest.streamed import CSV, attachment
from audit.templatetags.words import span

PICKED = ("from", "to", "environment", "checkpoint")
PAGE = 100  # rows of evidence
WORDS = {
    "effective": ("passed", "Effective"),
    "effective_with_exceptions": ("exception", "Effective with exceptions"),
    "not_effective": ("failed", "Not effective"),
    "not_tested": ("not_tested", "Nothing was tested"),
}
PARTS = {"pass": "ok", "fail": "bad", "indeterminate": "wait", "exception": "exc"}  # as pieces of a bar
WORST_FIRST = ("not_effective", "effective_with_exceptions", "not_tested", "effective")


@require_safe
@login_required
@or_named("Compliance")
def index(request: HttpRequest) -> HttpResponse:
    """Every control test over the chosen period, the worst first."""
    require_reader(request.user)
    asked, framework = _asked(request), request.GET.get("framework", "")
    try:
        report = reports.asked_report({**asked, "framework": framework})
    except reports.NothingSealed:
        return render(request, "audit/compliance.html", {"rows": None, "controls": controls().values()})
    tested = [one for one in report.tested if frameworks.belongs(one.control, framework)]
    rows = sorted(tested, key=_trouble)
    context = {
        "rows": [_summary(one, asked, framework) for one in rows],
        "tiles": _tiles(report, tested),
        "frameworks": frameworks.frameworks(),
        "framework": framework,
        "export_query": _link({**asked, "framework": framework}).removeprefix("?"),
        **_picker(report, asked, action="/compliance/"),
    }
    return render(request, "audit/compliance.html", context)


@require_safe
@login_required
@or_named("Control test")
def detail(request: HttpRequest, key: str) -> HttpResponse:
    """One control test: what it means, what it found, and the evidence for each item."""
    require_reader(request.user)
    chosen, asked = control(key), _asked(request)
    try:
        report = reports.asked_report(asked)
    except reports.NothingSealed:
        return render(request, "audit/control.html", {"control": chosen, "shown": None})
    tested = report.of(chosen.id)
    only = _result(request.GET.get("result", ""))
    rows = [row for row in reversed(tested.rows) if only in ("", row["result"])]
    first = _first(request.GET.get("first", ""), len(rows))
    shown = people(rows[first : first + PAGE])
    context = {
        "control": chosen,
        "shown": shown,
        "executions": any(row["run"] for row in shown),
        "older": _link({**asked, "result": only, "first": str(first + PAGE)})
        if len(rows) > first + PAGE
        else "",
        "newer": _link({**asked, "result": only, "first": str(max(0, first - PAGE))}) if first else "",
        "tabs": _tabs(tested, asked, only),
        "total": tested.population,
        "summary": _summary(tested, asked),
        "report_digest": report.digest,
        "over_time": _over_time(tested, asked),
        "item_query": _link(asked) if asked else "",
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
        return attachment(request, made.pieces(), name=name, content_type=CSV)

    return export


def _asked(request: HttpRequest) -> dict[str, str]:
    return {name: value for name in PICKED if (value := request.GET.get(name, ""))}


def _result(name: str) -> str:
    if name and name not in ITEMS:
        raise _fault("result", f"An item is one of {', '.join(ITEMS)}.")
    return name


def _first(text: str, count: int) -> int:
    """The row with which a page begins, from 0."""
    first = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1 if text else 0
    if not 0 <= first < max(1, count):
        raise _fault("first", f"There is no row {text!a:.20}: there are {count}, from 0.")
    return first


def _fault(name: str, words: str) -> Invalid:
    return Invalid(f"Nothing was tested: {words}", errors=[{"pointer": f"/{name}", "detail": words}])


def _link(asked: dict[str, str]) -> str:
    return "?" + urlencode({name: value for name, value in asked.items() if value})


def _trouble(one: Tested) -> tuple[int, int]:
    """The worst result first, and of these the one with the most that did not pass."""
    return WORST_FIRST.index(one.result), -(one.counts["fail"] + one.counts["indeterminate"])


def _summary(tested: Tested, asked: dict[str, str], framework: str = "") -> dict[str, Any]:
    state, words = WORDS[tested.result]
    url = f"/compliance/controls/{tested.control.id}/" + (_link(asked) if asked else "")
    for_it = [text for text in tested.control.references if frameworks.within(text, framework)]
    return {
        "tested": tested, "state": state, "words": words, "url": url, "counts": tested.counts, "references": for_it,
    }  # fmt: skip


def _tiles(report: Report, tested: list[Tested]) -> list[dict[str, Any]]:
    results = [one.result for one in tested]
    bad, excused = results.count("not_effective"), results.count("effective_with_exceptions")
    untested = results.count("not_tested")
    total = len(results)
    return [
        {"label": "Not effective", "value": bad, "note": f"of {total} control tests", "state": _worse(bad, "failed")},
        {"label": "With exceptions", "value": excused, "note": f"of {total}", "state": _worse(excused, "exception")},
        {"label": "Not tested", "value": untested, "note": f"of {total}: nothing to test"},
        {"label": "Sealed entries", "value": report.checkpoint.size, "note": "all were read, none sampled"},
        {"label": "Sealed", "value": f"{_age(report)} ago", "note": "by the newest checkpoint", "state": "verified"},
    ]  # fmt: skip


def _age(report: Report) -> str:
    return span((database_time() - report.checkpoint.created_at).total_seconds())


def _over_time(tested: Tested, asked: dict[str, str]) -> dict[str, Any] | None:
    """The results of each month, as a chart whose bars open their rows; nothing where there is one month or none."""
    found = monthly(tested.rows, metrics.month)
    if len(found) < 2:
        return None
    bars = []
    for start, counts in found.items():
        span_of = {"from": start.date().isoformat(), "to": metrics.after(start).date().isoformat()}
        parts = [Part(kind, ITEMS[name][1].lower(), counts[name]) for name, kind in PARTS.items()]
        bars.append(Bar(f"{start:%Y-%m}", parts, _link({**asked, **span_of})))
    bad = [bar.label for bar in bars if bar.parts[1].value or bar.parts[2].value]
    return {
        "finding": f"Failed or cannot be told in {', '.join(bad)}." if bad else "Nothing failed in any month.",
        "svg": columns("results", bars), "columns": ["Month", *(ITEMS[name][1] for name in PARTS)],
        "rows": [[{"text": bar.label, "url": bar.url}, *(part.value for part in bar.parts)] for bar in bars],
    }  # fmt: skip


def _worse(count: int, state: str) -> str:
    return state if count else ""


def _picker(report: Report, asked: dict[str, str], *, action: str) -> dict[str, Any]:
    """What was chosen, and what can be."""
    return {
        "asked": asked,
        "action": action,
        "since": asked.get("from", ""),
        "until": asked.get("to", ""),
        "chosen_environment": asked.get("environment", ""),
        "environments": environments(report.checkpoint),
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
