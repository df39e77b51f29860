"""How delivery and agreeing went, as charts and as DORA's measures. Draws what reports/metrics.py counted."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.urls import URLPattern, path
from django.views.decorators.http import require_POST, require_safe

from audit.access import require_reader
from audit.controls.environments import environments
from audit.controls.evaluate import Scope, known
from audit.controls.facts import Facts
from audit.ledger import checkpoint
from audit.ledger.entry import Actor
from audit.models import Checkpoint
from audit.pages.charts import Bar, Part, Point, columns, lines, rows, unit_of
from audit.pages.picked import or_named
from audit.refusals import NotFound
from audit.reports import metrics, sheet
from audit.reports.controls import NothingSealed, asked_checkpoint, scope
from audit.reports.left import left
from audit.reports.metrics import FEW, Deployment
from audit.rest.streamed import CSV, attachment
from audit.templatetags.words import span

FIELDS = ("from", "to", "environment", "service", "checkpoint")
USUAL = "production"
THRESHOLD = 10  # per cent of emergencies from which on an auditor asks
MOST_BARS = 60  # of a chart; the table and the CSV have all
DECISIONS = {
    "approve": ("ok", "approved"),
    "approve_with_condition": ("exc", "approved with a condition"),
    "send_back": ("wait", "sent back"),
    "reject": ("bad", "rejected"),
}


@dataclass(frozen=True)
class Asked:
    """What the page is about: sealed facts, and what was picked."""

    signed: Checkpoint
    facts: Facts
    scope: Scope
    service: str
    deployments: list[Deployment]

    def of(self, since: datetime, until: datetime) -> str:
        """The executions of a span: the rows behind a mark."""
        picked = {
            "from": since.date().isoformat(),
            "to": until.date().isoformat(),
            "environment": self.scope.environment,
        }
        return "/compliance/controls/CT-01/?" + urlencode(
            {name: value for name, value in picked.items() if value}
        )

    def entries(self, kind: str, since: datetime, until: datetime) -> str:
        return "/audit/?" + urlencode({"q": f"type:{kind} after:{since.date()} before:{until.date()}"})


def urls(actor_of: Callable[[HttpRequest], Actor]) -> list[URLPattern]:
    """`actor_of` names who sent a request: accounts live above."""
    return [
        path("compliance/metrics/", page, name="metrics"),
        path("compliance/metrics/csv/", _exporter(actor_of)),
    ]


@require_safe
@login_required
@or_named("Metrics")
def page(request: HttpRequest) -> HttpResponse:
    """Every chart, and DORA's measures for each service."""
    require_reader(request.user)
    picked = {name: request.GET.get(name, "") for name in FIELDS}
    if "environment" not in request.GET and USUAL in environments(checkpoint.latest()):
        picked["environment"] = USUAL
    try:
        asked = gather(picked)
    except NothingSealed:
        return render(request, "audit/metrics.html", {"charts": None})
    context = {
        "charts": [{**draw(asked), "csv": name} for name, draw in CHARTS.items()],
        "services": delivered(asked),
        "few": FEW,
        "picked": picked,
        "since": picked["from"],
        "until": picked["to"],
        "chosen_environment": asked.scope.environment,
        "environments": environments(asked.signed),
        "checkpoint": asked.signed,
        "action": "/compliance/metrics/",
        "every_service": sorted({one.service for one in metrics.deployments(asked.facts, asked.scope)}),
    }
    return render(request, "audit/metrics.html", context)


def gather(picked: Mapping[str, str]) -> Asked:
    """The facts under the checkpoint, and the deployments that were picked."""
    signed = asked_checkpoint(picked.get("checkpoint", ""))
    chosen = scope(picked, under=signed)
    facts, service = known(signed.size, bytes(signed.root)), picked.get("service", "")
    found = [one for one in metrics.deployments(facts, chosen) if service in ("", one.service)]
    return Asked(signed, facts, chosen, service, found)


def _exporter(actor_of: Callable[[HttpRequest], Actor]) -> Callable[[HttpRequest], StreamingHttpResponse]:
    """The table of a chart as CSV. A POST: that it left the house is an entry."""

    @require_POST
    @login_required
    def export(request: HttpRequest) -> StreamingHttpResponse:
        require_reader(request.user)
        name = request.POST.get("chart", "")
        if name not in CHARTS:
            raise NotFound("There is no such chart; nothing was exported.")
        asked = gather({field: request.POST.get(field, "") for field in FIELDS})
        told = CHARTS[name](asked)
        about = {
            "chart": name,
            "checkpoint": asked.signed.note,
            "scope": asked.scope.plain(),
            "service": asked.service,
        }
        made = sheet.write(told["columns"], map(_plain, told["rows"]), manifest=about)
        left(f"chart {name}", query=_query(asked), rows=made.count, digest=made.digest, by=actor_of(request))
        return attachment(request, made.pieces(), name=f"{name}.csv", content_type=CSV)

    return export


def _query(asked: Asked) -> str:
    told = {**asked.scope.plain(), "service": asked.service}
    return " ".join(f"{name}:{value}" for name, value in told.items() if value)


def _plain(row: Sequence[Any]) -> list[object]:
    return [cell["text"] if isinstance(cell, dict) else cell for cell in row]


def delivered(asked: Asked) -> list[metrics.Delivery]:
    """DORA's measures of each service that was picked."""
    return metrics.delivery(asked.deployments, metrics.days_of(asked.scope, asked.deployments))


# --- the charts ---------------------------------------------------------------------------------------------


def by_week(asked: Asked) -> dict[str, Any]:
    weeks = _grouped(asked.deployments, lambda one: metrics.week(one.ended_at), timedelta(days=7))
    bars = []
    for start, found in weeks:
        good = sum(one.good for one in found)
        parts = [Part("ok", "succeeded", good), Part("bad", "failed", len(found) - good)]
        bars.append(Bar(_day(start), parts, asked.of(start, start + timedelta(days=7))))
    bad, total = sum(not one.good for one in asked.deployments), len(asked.deployments)
    return {
        "title": "Executions by week",
        "note": "in brackets: failed",
        "finding": f"{total - bad} of {total} executions succeeded, {bad} failed."
        if total
        else "Nothing was executed.",
        **_bars("executions", columns, bars, ("Week of", "Succeeded", "Failed")),
    }


def to_production(asked: Asked) -> dict[str, Any]:
    good = [one for one in asked.deployments if one.good]
    times = [(one.ended_at, (one.ended_at - one.asked_at).total_seconds()) for one in good]
    return {
        "title": "From request to the end of its execution",
        "note": "by week; whole line: median, dashed: nine of ten",
        "finding": _spread(
            times, "Half of what succeeded was done {} after it was asked for, and nine of ten {}."
        ),
        **_lines("request", asked, times, asked.of),
    }


def to_agreement(asked: Asked) -> dict[str, Any]:
    found = metrics.agreed(asked.facts, asked.scope)
    times = [(one.agreed_at, one.seconds) for one in found]

    def entries(since: datetime, until: datetime) -> str:
        return asked.entries("change.approved", since, until)

    return {
        "title": "Waiting for approval",
        "note": "by week; whole line: median, dashed: nine of ten",
        "finding": _spread(
            times, "Half of the changes had all approvals {} after they were submitted, and nine of ten {}."
        ),
        **_lines("approval", asked, times, entries),
    }


def emergencies(asked: Asked) -> dict[str, Any]:
    bars, worst = [], []
    for start, found in _grouped(asked.deployments, lambda one: metrics.month(one.ended_at), None):
        urgent = sum(one.emergency for one in found)
        parts = [Part("ok", "planned", len(found) - urgent), Part("exc", "emergencies", urgent)]
        bars.append(Bar(f"{start:%Y-%m}", parts, asked.of(start, metrics.after(start))))
        if found and urgent * 100 > THRESHOLD * len(found):
            worst.append(f"{start:%Y-%m}")
    urgent, total = sum(one.emergency for one in asked.deployments), len(asked.deployments)
    above = f" Above {THRESHOLD} % in {', '.join(worst)}." if worst else f" No month is above {THRESHOLD} %."
    return {
        "title": "Emergencies by month",
        "note": "in brackets: emergencies",
        "finding": f"{urgent} of {total} executions were emergencies.{above}"
        if total
        else "Nothing was executed.",
        **_bars("emergencies", columns, bars, ("Month", "Planned", "Emergencies")),
    }


def queue(asked: Asked) -> dict[str, Any]:
    until = datetime.fromisoformat(asked.facts.until) if asked.facts.until else asked.signed.created_at
    stages = defaultdict(list)
    for one in metrics.waiting(asked.facts):
        stages[one.stage].append(one)
    order = sorted(stages, key=lambda stage: stages[stage][0].since)
    link = "/changes/?" + urlencode({"q": "state:waiting"})
    bars = [Bar(stage, [Part("wait", "waiting", len(stages[stage]))], link) for stage in order]
    told = [
        [
            _cell(stage, link),
            len(stages[stage]),
            span((until - stages[stage][0].since).total_seconds()),
            stages[stage][0].change,
        ]
        for stage in order
    ]
    finding = "Nothing waited for approval."
    if order:
        oldest = stages[order[0]][0]
        age = span((until - oldest.since).total_seconds())
        finding = (
            f"{sum(map(len, stages.values()))} waited for approval; {oldest.change} the longest, for {age}."
        )
    return {
        "title": "What waits, by stage",
        "note": "when the newest entry was written, in every environment",
        "finding": finding,
        "svg": rows("queue", bars),
        "columns": ["Stage", "Waiting", "Longest", "Which"],
        "rows": told,
    }


def agreeing(asked: Asked) -> dict[str, Any]:
    found = metrics.decisions(asked.facts, asked.scope)
    bars = [
        Bar(
            stage,
            [Part(kind, words, counts.get(name, 0)) for name, (kind, words) in DECISIONS.items()],
            "/audit/?q=type:sign_off.given",
        )
        for stage, counts in found.items()
    ]
    total = sum(sum(counts.values()) for counts in found.values())
    yes = sum(counts.get("approve", 0) + counts.get("approve_with_condition", 0) for counts in found.values())
    return {
        "title": "Decisions by stage",
        "note": "approved, with a condition, sent back, rejected",
        "finding": f"{yes} of {total} decisions approved; {total - yes} sent back or rejected."
        if total
        else "Nobody decided anything.",
        **_bars("decisions", rows, bars, ("Stage", "Approved", "With a condition", "Sent back", "Rejected")),
    }


def excused(asked: Asked) -> dict[str, Any]:
    moments = [one.ended_at for one in metrics.deployments(asked.facts, asked.scope)]
    moments += [metrics.at(told) for told in asked.facts.exceptions.values()]
    months = _months(moments)
    stood = metrics.exceptions(asked.facts, months)
    bars = [
        Bar(
            f"{start:%Y-%m}",
            [Part("exc", "exceptions", count)],
            asked.entries("exception.*", start, metrics.after(start)),
        )
        for start, count in stood.items()
    ]
    most = max(stood.items(), key=lambda one: one[1], default=None)
    if not most or not most[1]:
        bars = []
    return {
        "title": "Exceptions that stood, by month",
        "note": "from control tests; in every environment",
        "finding": f"At most {most[1]} stood in a month, in {most[0]:%Y-%m}."
        if most and most[1]
        else "No exception stood.",
        **_bars("exceptions", columns, bars, ("Month", "Exceptions")),
    }


CHARTS: dict[str, Callable[[Asked], dict[str, Any]]] = {
    "executions": by_week,
    "request": to_production,
    "approval": to_agreement,
    "emergencies": emergencies,
    "queue": queue,
    "decisions": agreeing,
    "exceptions": excused,
}


def _bars(
    name: str, draw: Callable[[str, Sequence[Bar]], Any], bars: Sequence[Bar], heads: Sequence[str]
) -> dict[str, Any]:
    told = [[_cell(bar.label, bar.url), *(part.value for part in bar.parts)] for bar in bars]
    return {"svg": draw(name, bars[-MOST_BARS:]), "columns": list(heads), "rows": told}


def _lines(
    name: str,
    asked: Asked,
    times: Sequence[tuple[datetime, float]],
    link: Callable[[datetime, datetime], str],
) -> dict[str, Any]:
    """Median and nine of ten for each week, in one unit that fits all of them."""
    points, told = [], []
    unit = unit_of(metrics.percentile([value for _, value in times], 90) or 0.0)
    for start, found in _grouped(times, lambda one: metrics.week(one[0]), timedelta(days=7)):
        seconds = [value for _, value in found]
        half, most = metrics.percentile(seconds, 50), metrics.percentile(seconds, 90)
        url, words = link(start, start + timedelta(days=7)), f"{_day(start)}: {len(found)}, "
        words += (
            f"median {span(half)}, nine of ten {span(most)}"
            if half is not None and most is not None
            else "nothing"
        )
        points.append(Point(_day(start), [unit.of(half), unit.of(most)], words, url))
        told.append([_cell(_day(start), url), len(found), unit.told(half), unit.told(most)])
    heads = ["Week of", "How many", f"Median, {unit.name}", f"Nine of ten, {unit.name}"]
    return {"svg": lines(name, points[-MOST_BARS:], unit=f" {unit.short}"), "columns": heads, "rows": told}


def _spread(times: Sequence[tuple[datetime, float]], words: str) -> str:
    seconds = [value for _, value in times]
    half, most = metrics.percentile(seconds, 50), metrics.percentile(seconds, 90)
    return (
        words.format(span(half), span(most))
        if half is not None and most is not None
        else "There is nothing to measure."
    )


def _grouped(
    found: Iterable[Any], key: Callable[[Any], datetime], step: timedelta | None
) -> list[tuple[datetime, list[Any]]]:
    """By period, the empty ones between too."""
    groups = defaultdict(list)
    for one in found:
        groups[key(one)].append(one)
    if not groups:
        return []
    at, told = min(groups), []
    while at <= max(groups):
        told.append((at, groups.get(at, [])))
        at = at + step if step else metrics.after(at)
    return told


def _months(moments: Iterable[datetime]) -> list[datetime]:
    return [start for start, _ in _grouped(list(moments), metrics.month, None)]


def _cell(text: str, url: str) -> dict[str, str]:
    return {"text": text, "url": url}


def _day(start: datetime) -> str:
    return f"{start:%Y-%m-%d}"
