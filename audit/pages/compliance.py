"""What was tested, over which population, with which evidence. Shows what the ledger says; must never judge itself."""

from collections.abc import Callable
from datetime import datetime, timedelta
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
from audit.controls.evaluate import Report, Scope, Tested
from audit.ledger.entry import Actor
from audit.models import ControlTest
from audit.pages import proving, testing
from audit.pages.charts import Bar, Part, columns
from audit.pages.evidence import ITEMS, people
from audit.pages.picked import or_named
from audit.pages.testing import WORDS
from audit.pages.trail import by_period
from audit.refusals import Invalid
from audit.reports import controls as reports
from audit.reports import frameworks, metrics
from audit.reports import tested as recorded
from audit.rest.streamed import CSV, attachment
from audit.templatetags.words import span

PICKED = ("from", "to", "environment", "checkpoint")
PAGE = 100  # rows of evidence
FEW_DAYS = timedelta(days=35)  # which a chart shows one by one
PARTS = {"pass": "ok", "fail": "bad", "indeterminate": "wait", "exception": "exc"}  # as pieces of a bar
KINDS = {  # what a population consists of, in words
    "execution": "runs", "service_month": "runs", "checkpoint": "checkpoints", "leaver": "accounts were switched off",
    "act": "acts that widen rights", "deployment": "runs and no observations", "team": "teams", "archive": "entries",
}  # fmt: skip
FAILING = "failing"
KEYS = [("j k", "move"), ("Enter", "open"), ("f", "only failing"), ("E", "export")]
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
    only = request.GET.get("only", "") == FAILING
    rows = sorted((one for one in tested if one.result == "not_effective" or not only), key=_trouble)
    state = testing.state()
    compared = _compared(report, state["last"])
    context = {
        **state,
        "rows": [
            {**_summary(one, asked, framework, compared), "nothing": _nothing(report, one)} for one in rows
        ],
        "compared": compared,
        "excused": any(one.counts["exception"] for one in rows),
        "keys": KEYS,
        "only": _only(asked, framework, only=only),
        "owners": any(testing.owner(one.control) for one in rows),
        "tiles": _tiles(report, tested, overdue=state["overdue"]),
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
        context = {"control": chosen, "shown": None, **testing.about(chosen)}
        return render(request, "audit/control.html", context)
    tested = report.of(chosen.id)
    only = _result(request.GET.get("result", ""))
    rows = [row for row in reversed(tested.rows) if only in ("", row["result"])]
    first = _first(request.GET.get("first", ""), len(rows))
    shown, state = people(rows[first : first + PAGE]), testing.state()
    context = {
        **state,
        **testing.about(chosen),
        "nothing": f"{_nothing(report, tested)} This control is neither effective nor not.",
        "control": chosen,
        "shown": shown,
        "executions": any(row["run"] for row in shown),
        "older": _link({**asked, "result": only, "first": str(first + PAGE)})
        if len(rows) > first + PAGE
        else "",
        "newer": _link({**asked, "result": only, "first": str(max(0, first - PAGE))}) if first else "",
        "tabs": _tabs(tested, asked, only),
        "total": tested.population,
        "summary": _summary(tested, asked, last=_compared(report, state["last"])),
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


def _compared(report: Report, last: ControlTest | None) -> ControlTest | None:
    """The recorded test to compare with; a part of the log, or what it was before, is compared with nothing."""
    older = last is not None and report.checkpoint.size < last.checkpoint_size
    return last if report.scope == Scope() and not older else None


def _only(asked: dict[str, str], framework: str, *, only: bool) -> dict[str, str]:
    """The way to the failing ones alone, and back."""
    picked = {**asked, "framework": framework, "only": "" if only else FAILING}
    return {"label": "Show all" if only else "Only failing", "url": _link(picked)}


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


def _summary(
    tested: Tested, asked: dict[str, str], framework: str = "", last: ControlTest | None = None
) -> dict[str, Any]:
    state, words = WORDS[tested.result]
    url = f"/compliance/controls/{tested.control.id}/" + (_link(asked) if asked else "")
    for_it = [text for text in tested.control.references if frameworks.within(text, framework)]
    return {
        "tested": tested, "state": state, "words": words, "url": url, "counts": tested.counts, "references": for_it,
        "frameworks": frameworks.named(tested.control), "owner": testing.owner(tested.control),
        "since": recorded.since(tested, last),
    }  # fmt: skip


def _tiles(report: Report, tested: list[Tested], *, overdue: str) -> list[dict[str, Any]]:
    results = [one.result for one in tested]
    bad, total = results.count("not_effective"), len(results)
    untested = total if overdue else results.count("not_tested")
    excused = reports.open_exceptions(report.checkpoint)
    log = proving.strip()
    return [
        {"label": "Not effective", "value": bad, "note": f"of {total} control tests", "state": _worse(bad, "failed")},
        {"label": "Not tested", "value": untested, "note": overdue or f"of {total}: nothing to test",
         "state": "flagged" if overdue else ""},
        {"label": "Exceptions open", "value": excused, "note": "from control tests", "url": "/exceptions/",
         "state": _worse(excused, "exception")},
        {"label": "Log", "value": "Verified" if log.state == "verified" else log.title, "state": log.state,
         "note": f"{report.checkpoint.size} entries, all read", "url": "/audit/checkpoints/"},
        {"label": "Evidence", "value": f"{_age(report)} old", "note": "the newest sealed entry"},
    ]  # fmt: skip


def _age(report: Report) -> str:
    return span((database_time() - report.checkpoint.created_at).total_seconds())


def _nothing(report: Report, tested: Tested) -> str:
    """Why nothing was tested, where nothing was."""
    asked, of = report.scope, KINDS.get(tested.control.kind, "items")
    if tested.population:
        return "None of these has to be judged." if tested.result == "not_tested" else ""
    where = f"{asked.environment} " if asked.environment and tested.control.kind == "execution" else ""
    when = "in this period" if asked.start or asked.end else "yet"
    return f"No {where}{of} {when}."


def _over_time(tested: Tested, asked: dict[str, str]) -> dict[str, Any] | None:
    """The results of each month, or of each day where it is about few, as a chart whose bars open their rows.

    Nothing where there is one, or none.
    """
    days = by_period(tested.rows, metrics.day)
    short = bool(days) and max(days) - min(days) <= FEW_DAYS
    found = days if short else by_period(tested.rows, metrics.month)
    if len(found) < 2:
        return None
    bars = []
    for start, counts in found.items():
        end = start + timedelta(days=1) if short else metrics.after(start)
        parts = [Part(kind, ITEMS[name][1].lower(), counts[name]) for name, kind in PARTS.items()]
        label = _day(start) if short else f"{start:%Y-%m}"
        bars.append(Bar(label, parts, _link({**asked, "from": _day(start), "to": _day(end)})))
    bad = [bar.label for bar in bars if bar.parts[1].value or bar.parts[2].value]
    unit = "day" if short else "month"
    return {
        "note": f"by {unit}; in brackets: failed, cannot tell, exceptions",
        "finding": f"Failed or cannot be told in {', '.join(bad)}." if bad else f"Nothing failed on any {unit}.",
        "svg": columns("results", bars), "columns": [unit.capitalize(), *(ITEMS[name][1] for name in PARTS)],
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
        "periods": _periods(asked, report.checkpoint.created_at),
        "environments": environments(report.checkpoint),
        "checkpoint": report.checkpoint,
    }


def _periods(asked: dict[str, str], now: datetime) -> list[dict[str, Any]]:
    """What auditors ask for most: quarters, the year, all of it."""
    quarter = metrics.quarter(now)
    before = metrics.quarter(quarter - timedelta(days=1))
    spans = [
        ("Everything", "", ""),
        ("This quarter", _day(quarter), ""),
        ("Last quarter", _day(before), _day(quarter)),
        ("This year", f"{now.year}-01-01", ""),
    ]
    return [
        {
            "label": label, "url": _link({**asked, "from": since, "to": until}) or "?",
            "current": (asked.get("from", ""), asked.get("to", "")) == (since, until),
        }
        for label, since, until in spans
    ]  # fmt: skip


def _day(at: datetime) -> str:
    return at.date().isoformat()


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
