"""The connected chain of one item: request, policy, approvals, permit, start, end, each with its place in the log."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from audit.access import require_reader
from audit.controls.catalogue import control
from audit.controls.evaluate import Report, known
from audit.controls.facts import Facts
from audit.controls.told import Told
from audit.names import Names
from audit.pages.evidence import ITEMS, people
from audit.pages.picked import or_named
from audit.refusals import NotFound
from audit.reports import controls as reports
from audit.reports.approvals import approvals

PICKED = ("from", "to", "environment", "checkpoint")
ENDS = ("change.succeeded", "change.failed", "change.cancelled")


@dataclass(frozen=True)
class Link:
    """One entry of the chain, in words."""

    title: str
    words: str
    at: datetime
    actor: str
    index: int
    state: str
    digest: str = ""


@require_safe
@login_required
@or_named("Control test")
def detail(request: HttpRequest, key: str, item: str) -> HttpResponse:
    """What a control test found about one item, the whole chain behind it, and what the other tests found."""
    require_reader(request.user)
    chosen = control(key)
    report = reports.asked_report({name: request.GET.get(name, "") for name in PICKED})
    row = _row(report, key, item)
    facts = known(report.checkpoint.size, bytes(report.checkpoint.root))
    links = list(chain(facts, row)) if row.get("run") else []
    names = Names(one.actor for one in links)
    [shown] = people([row])
    context = {
        "control": chosen, "row": shown, "checkpoint": report.checkpoint,
        "links": [(one, names.both(one.actor, one.at)) for one in links], "same": _same(links),
        "others": _others(report, row),
    }  # fmt: skip
    return render(request, "audit/evidence.html", context)


def _row(report: Report, key: str, item: str) -> dict[str, Any]:
    """By the run, else by the place in the log: of an item that is no run, where both are there."""
    found = [row for row in report.of(key).rows if item in (row.get("run"), str(row["index"]))]
    if found:
        return min(found, key=lambda row: bool(row.get("run")) and row["run"] != item)
    raise NotFound("This control test has no such item in this period and environment.")


def _others(report: Report, row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What every test found about the same thing."""
    return [
        {"control": one.control, "state": ITEMS[other["result"]], "words": other["words"]}
        for one in report.tested
        for other in one.rows
        if _which(other) == _which(row)
    ]


def _which(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return row["index"], row.get("run"), row.get("item")


def chain(facts: Facts, row: Mapping[str, Any]) -> Iterator[Link]:
    """In the order in which it has to have happened; what is missing is missing here too."""
    revision = facts.revision(row["change"], row["digest"], row["index"])
    if revision is not None:
        yield _link(
            "Requested", f"{row['service']} to {row['environment']}", revision, "pending", row["digest"]
        )
        opened = facts.chains.get(revision.data["chain"] or "")
        if opened is not None:
            asked = ", ".join(f"{stage['quorum']} of {stage['name']}" for stage in opened.data["stages"])
            yield _link("Approvals demanded", asked, opened, "info", opened.subject)
    yield from _evidence(facts, row)
    given = {one.given.index: one for one in facts.given.values()}
    for one in approvals(given, row):
        told = given[one.index].given
        yield _link(
            f"{one.meaning.capitalize()}, as {one.stage}", one.factors, told, "approved", told.data["digest"]
        )
    permit = next((told for told in facts.permits.values() if told.index == row["permit_index"]), None)
    if permit is not None:
        words = f"under the checkpoint of {permit.data['checkpoint_size']} entries"
        yield _link("Permitted", words, permit, "verified", permit.data["digest"])
    start = next((told for told in facts.starts if told.index == row["index"]), None)
    if start is not None:
        yield _link("Started", str(row["run"]), start, "running", start.data["digest"])
    yield from _end(facts, row)


def _evidence(facts: Facts, row: Mapping[str, Any]) -> Iterator[Link]:
    """What was attached to this content before it started, with the digest of each piece."""
    for told in facts.releases.evidence.get(row["change"], ()):
        if told.data["digest"] == row["digest"] and told.index < row["index"]:
            kind = told.data["evidence_kind"].replace("_", " ")
            gone = ", removed again" if facts.releases.is_gone(told) else ""
            digest = str(told.data["evidence_digest"])
            words = f"{digest[:13]}…{digest[-4:]}{gone}"
            yield _link(f"Attached: {kind}", words, told, "info", told.data["digest"])


def _end(facts: Facts, row: Mapping[str, Any]) -> Iterator[Link]:
    for told in facts.states.get(row["change"], ()):
        if told.kind in ENDS and told.index > row["index"]:
            state = told.kind.partition(".")[2]
            yield _link(state.capitalize(), "", told, state)
            return


def _link(title: str, words: str, told: Told, state: str, digest: str = "") -> Link:
    return Link(title, words, datetime.fromisoformat(told.time), told.actor, told.index, state, digest)


def _same(links: list[Link]) -> bool:
    """Whether what was requested, approved, permitted and started is the same content."""
    return len({one.digest for one in links if one.digest}) == 1


def by_period(rows: Any, period: Callable[[datetime], datetime]) -> dict[datetime, dict[str, int]]:
    """How many items of each result began in each period."""
    found: dict[datetime, dict[str, int]] = {}
    for row in rows:
        at = row.get("started_at") or row.get("at")
        if at:
            counts = found.setdefault(period(datetime.fromisoformat(at)), dict.fromkeys(ITEMS, 0))
            counts[row["result"]] += 1
    return dict(sorted(found.items()))
