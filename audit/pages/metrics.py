"""How delivery and agreeing went, as charts and as DORA's measures. Draws what reports/metrics.py counted."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.urls import URLPattern, path
from django.views.decorators.http import require_POST, require_safe

from audit.access import require_reader
from audit.controls.environments import environments
from audit.controls.evaluate import known
from audit.ledger import checkpoint
from audit.ledger.entry import Actor
from audit.pages.measured import CHARTS, Asked
from audit.pages.picked import or_named
from audit.refusals import NotFound
from audit.reports import metrics, sheet
from audit.reports.controls import NothingSealed, asked_checkpoint, scope
from audit.reports.left import left
from audit.reports.metrics import FEW
from audit.rest.streamed import CSV, attachment

FIELDS = ("from", "to", "environment", "service", "team", "checkpoint")
WEEK = 7  # days; a frequency over less would be made up
LISTED = 200  # executions behind a mark
USUAL = "production"


def urls(actor_of: Callable[[HttpRequest], Actor]) -> list[URLPattern]:
    """`actor_of` names who sent a request: accounts live above."""
    return [
        path("compliance/metrics/", page, name="metrics"),
        path("compliance/metrics/csv/", _exporter(actor_of)),
        path("compliance/metrics/executed/", executed),
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
    services = delivered(asked)
    context = {
        "charts": [{**draw(asked), "csv": name} for name, draw in CHARTS.items()],
        "services": services,
        "told": {
            "per_week": any(one.days >= WEEK for one in services),
            "gap": any(one.gap is not None for one in services),
            "recovery": any(one.recovery is not None for one in services),
        },
        "few": FEW,
        "picked": picked,
        "since": picked["from"],
        "until": picked["to"],
        "chosen_environment": asked.scope.environment,
        "environments": environments(asked.signed),
        "checkpoint": asked.signed,
        "action": "/compliance/metrics/",
        "every_service": sorted({one.service for one in metrics.deployments(asked.facts, asked.scope)}),
        "every_team": sorted(set(asked.facts.premises.owners.values())),
    }
    return render(request, "audit/metrics.html", context)


@require_safe
@login_required
@or_named("Executions")
def executed(request: HttpRequest) -> HttpResponse:
    """The executions behind a mark: what ended in a span, the newest first."""
    require_reader(request.user)
    asked = gather({name: request.GET.get(name, "") for name in FIELDS})
    found = asked.deployments[::-1]
    return render(
        request, "audit/executed.html", {"found": found[:LISTED], "total": len(found), "asked": asked}
    )


def gather(picked: Mapping[str, str]) -> Asked:
    """The facts under the checkpoint, and the deployments that were picked."""
    signed = asked_checkpoint(picked.get("checkpoint", ""))
    chosen = scope(picked, under=signed)
    facts, service = known(signed.size, bytes(signed.root)), picked.get("service", "")
    asked = Asked(signed, facts, chosen, service, picked.get("team", ""), [])
    found = [one for one in metrics.deployments(facts, chosen) if asked.holds(one.service)]
    return replace(asked, deployments=found)


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
            "team": asked.team,
        }
        made = sheet.write(told["columns"], map(_plain, told["rows"]), manifest=about)
        left(f"chart {name}", query=_query(asked), rows=made.count, digest=made.digest, by=actor_of(request))
        return attachment(request, made.pieces(), name=f"{name}.csv", content_type=CSV)

    return export


def _query(asked: Asked) -> str:
    told = {**asked.scope.plain(), "service": asked.service, "team": asked.team}
    return " ".join(f"{name}:{value}" for name, value in told.items() if value)


def _plain(row: Sequence[Any]) -> list[object]:
    return [cell["text"] if isinstance(cell, dict) else cell for cell in row]


def delivered(asked: Asked) -> list[metrics.Delivery]:
    """DORA's measures of each service that was picked."""
    return metrics.delivery(asked.deployments, metrics.days_of(asked.scope, asked.deployments))
