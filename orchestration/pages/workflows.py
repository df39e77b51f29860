"""The catalogue: what may be requested, and what a workflow does before one asks for it."""

from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.db.models import Count, Max, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from accounts import permissions
from orchestration import access
from orchestration.definitions import flow
from orchestration.definitions.workflow import document as definition_of
from orchestration.models import CONTROL_ROOM, Change, Workflow
from orchestration.pages import way


@require_GET
@login_required
def catalogue(request: HttpRequest) -> HttpResponse:
    """The workflows this person may see, those they have used first."""
    words = request.GET.get("q", "")
    found = access.visible_workflows(request.user).select_related("owner", "active")
    if words:
        found = found.filter(
            Q(title__icontains=words) | Q(summary__icontains=words) | Q(slug__icontains=words)
        )
    rows = found.annotate(
        mine=Count("changes", filter=Q(changes__requester=request.user)),
        runs=Count("changes__runs", filter=Q(changes__runs__ended_at__isnull=False)),
        good=Count("changes__runs", filter=Q(changes__runs__state="succeeded")),
        last=Max("changes__runs__ended_at"),
    ).order_by("-mine", "title")
    requestable = set(access.visible_workflows(request.user, "request").values_list("pk", flat=True))
    cards = [_card(workflow, requestable) for workflow in rows]
    return render(request, "orchestration/workflows.html", {"groups": _groups(cards), "q": words})


@require_GET
@login_required
def detail(request: HttpRequest, slug: str) -> HttpResponse:
    """One workflow: its graph, its inputs, its source and versions."""
    workflow = access.get_workflow_or_404(request.user, slug)
    document = definition_of(workflow.active) if workflow.active else {}
    recent = Change.objects.filter(
        workflow=workflow, pk__in=access.visible_changes(request.user).values("pk")
    )
    return render(request, "orchestration/workflow.html", {
        "workflow": workflow,
        "steps": graph(document),
        "inputs": document.get("spec", {}).get("inputs", {}),
        "environments": document.get("spec", {}).get("environments", []),
        "versions": workflow.versions.select_related("author").order_by("-number"),
        "recent": recent.select_related("service", "environment", "requester").order_by("-number")[:10],
        "may_request": permissions.may(request.user, "request", workflow),
    })  # fmt: skip


def _groups(cards: list[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    """What changes a service, then what changes who must agree."""
    governed = [card for card in cards if card["environments"] == [CONTROL_ROOM]]
    others = [card for card in cards if card not in governed]
    return [
        group
        for group in (
            ("What is changed, and how", others),
            ("Who must agree, and what is protected", governed),
        )
        if group[1]
    ]


def graph(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Steps for the drawing, from the definition as its author wrote it."""
    steps = document.get("spec", {}).get("steps", {})
    needs = flow.needs(steps)
    return [
        {"key": key, "title": step.get("title", key), "needs": needs[key], "note": way.kind(step)}
        for key, step in steps.items()
    ]


def _card(workflow: Workflow, requestable: set[UUID]) -> dict[str, Any]:
    document = definition_of(workflow.active) if workflow.active else {}
    return {
        "workflow": workflow,
        "environments": document.get("spec", {}).get("environments", []),
        "steps": len(document.get("spec", {}).get("steps", {})),
        "may_request": workflow.pk in requestable,
    }
