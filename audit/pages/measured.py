"""The charts of the metrics: each with one sentence of finding, what it counts, and the same as a table.

Draws what reports/metrics.py counted; every mark leads to its rows.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from audit.controls.evaluate import Scope
from audit.controls.facts import Facts
from audit.models import Checkpoint
from audit.pages.charts import Bar, Day, Part, Point, columns, days, lines, rows, unit_of
from audit.reports import metrics
from audit.reports.metrics import Deployment
from audit.templatetags.words import short_span, span

EXECUTED = "/compliance/metrics/executed/"
WEEKS, FEWEST_WEEKS = 26, 12  # of the calendar
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
    team: str
    deployments: list[Deployment]

    def holds(self, service: str) -> bool:
        """Whether this service is one that was picked."""
        theirs = not self.team or self.facts.premises.owners.get(service) == self.team
        return theirs and self.service in ("", service)

    def of(self, since: datetime, until: datetime) -> str:
        """The executions of a span, as far as it was picked: the rows behind a mark."""
        begin = max(filter(None, (since, self.scope.start)))
        end = min(filter(None, (until, self.scope.end)))
        picked = {
            "from": begin.isoformat(), "to": end.isoformat(), "environment": self.scope.environment,
            "service": self.service, "team": self.team,
        }  # fmt: skip
        return f"{EXECUTED}?{urlencode({name: value for name, value in picked.items() if value})}"

    def entries(self, kind: str, since: datetime, until: datetime) -> str:
        return "/audit/?" + urlencode({"q": f"type:{kind} after:{since.date()} before:{until.date()}"})


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
        "meaning": "Each change whose run succeeded or failed, once, in the week of its end.",
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
        "meaning": "From the first request of a change to the successful end of its run.",
        "note": "by week; whole line: median, dashed: nine of ten",
        "finding": _spread(
            times, "Half of what succeeded was done {} after it was asked for, and nine of ten {}."
        ),
        **_lines("request", asked, times, asked.of),
    }


def to_agreement(asked: Asked) -> dict[str, Any]:
    found = [one for one in metrics.agreed(asked.facts, asked.scope) if asked.holds(one.service)]
    times = [(one.agreed_at, one.seconds) for one in found]

    def entries(since: datetime, until: datetime) -> str:
        return asked.entries("change.approved", since, until)

    return {
        "title": "Waiting for approval",
        "meaning": "From the last revision that was asked for to the approval that completed its chain.",
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
        "meaning": "Each change whose run ended, by whether it broke glass. An auditor asks from 10 % on.",
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
        if asked.holds(one.service) and asked.scope.environment in ("", one.environment):
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
        "meaning": "Each change that asks people, by the first stage that lacks its quorum.",
        "note": "when the newest entry was written",
        "finding": finding,
        "svg": rows("queue", bars),
        "columns": ["Stage", "Waiting", "Longest", "Which"],
        "rows": told,
    }


def agreeing(asked: Asked) -> dict[str, Any]:
    found = metrics.decisions(asked.facts, asked.scope, asked.holds)
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
        "meaning": "Each decision that a person gave, whether it was withdrawn later or not.",
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
        "meaning": "Each exception from a control test that held at some moment of the month.",
        "note": "from control tests; whichever service and environment",
        "finding": f"At most {most[1]} stood in a month, in {most[0]:%Y-%m}."
        if most and most[1]
        else "No exception stood.",
        **_bars("exceptions", columns, bars, ("Month", "Exceptions")),
    }


def by_day(asked: Asked) -> dict[str, Any]:
    """A calendar of the last half year."""
    counted = defaultdict(list)
    for one in asked.deployments:
        counted[metrics.day(one.ended_at)].append(one)
    told = [
        [_cell(_day(at), asked.of(at, at + timedelta(days=1))), len(some), sum(one.emergency for one in some)]
        for at, some in sorted(counted.items())
    ]
    busiest = max(counted.items(), key=lambda one: len(one[1]), default=None)
    urgent = sum(any(one.emergency for one in some) for some in counted.values())
    return {
        "title": "Executions by day",
        "meaning": "Each change whose run ended, on the day (UTC) of its end, for half a year at most.",
        "note": "the darker, the more; a diamond: somebody broke glass",
        "finding": f"Something was executed on {len(counted)} day{'s' if len(counted) > 1 else ''}, most on"
        f" {_day(busiest[0])}: {len(busiest[1])}. Glass was broken on {urgent}."
        if busiest
        else "Nothing was executed.",
        "svg": days("days", *_calendar(asked, counted)),
        "columns": ["Day", "Executions", "Emergencies"],
        "rows": told,
    }


def _calendar(asked: Asked, counted: Mapping[datetime, Sequence[Deployment]]) -> tuple[list[Day], list[str]]:
    """Each day of the weeks that are shown, and their names."""
    last = metrics.week(max(counted) if counted else asked.signed.created_at)
    shown = min(WEEKS, max(FEWEST_WEEKS, (last - metrics.week(min(counted, default=last))).days // 7 + 1))
    first = last - timedelta(weeks=shown - 1)
    squares = []
    for number in range(shown * 7):
        at = first + timedelta(days=number)
        some = counted.get(at, ())
        urgent = sum(one.emergency for one in some)
        words = f"{_day(at)}: {len(some)} executions, {urgent} emergencies"
        url = asked.of(at, at + timedelta(days=1)) if some else ""
        squares.append(Day(_day(at), divmod(number, 7), len(some), urgent, words, url))
    return squares, [_day(first + timedelta(weeks=at)) for at in range(shown)]


CHARTS: dict[str, Callable[[Asked], dict[str, Any]]] = {
    "executions": by_week,
    "days": by_day,
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
            f"median {short_span(half)}, nine of ten {short_span(most)}"
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
        words.format(short_span(half), short_span(most))
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
