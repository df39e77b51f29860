"""The matrix: what runs where now, and what comes next."""

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from orchestration import access
from orchestration.models import Change
from orchestration.pages import glass

COMING = ["waiting", "approved", "scheduled", "running"]


@require_GET
@login_required
def matrix(request: HttpRequest) -> HttpResponse:
    """Services as rows, environments as columns in promotion order."""
    environments = list(access.visible_environments(request.user))
    services = list(access.visible_services(request.user).select_related("owner"))
    cells = _cells(request.user)
    rows = [
        {
            "service": service,
            "cells": [cells.get((service.pk, one.pk), {"labels": []}) for one in environments],
        }
        for service in services
    ]
    strips = glass.seen_by(request.user)
    page = {"environments": environments, "rows": rows, "strips": strips}
    return render(request, "orchestration/environments.html", page)


def _cells(user: Any) -> dict[tuple[Any, Any], dict[str, Any]]:
    """By service and environment: the newest success is what runs, open changes are what comes."""
    found: dict[tuple[Any, Any], dict[str, Any]] = {}
    changes = access.visible_changes(user).select_related("revision", "requester", "workflow")
    for change in changes.filter(state__in=[*COMING, "succeeded"]).order_by("number"):
        cell = found.setdefault((change.service_id, change.environment_id), {"labels": []})
        if change.state == Change.State.SUCCEEDED:
            cell.update(version=_version(change), since=change.updated_at, by=change.requester.name)
        else:
            url = f"/changes/{change.key}/"
            cell["labels"].append({"state": _look(change), "words": _coming(change), "url": url})
    return found


def _version(change: Change) -> str:
    inputs = change.revision.inputs if change.revision else {}
    return str(inputs.get("version") or change.workflow.title)


def _look(change: Change) -> str:
    return change.kind if change.kind == Change.Kind.BREAK_GLASS else change.state


def _coming(change: Change) -> str:
    words = {"waiting": "waiting", "approved": "approved", "scheduled": "scheduled", "running": "running"}
    return f"{_version(change)} {words[change.state]}"
