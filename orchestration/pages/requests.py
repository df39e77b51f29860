"""Asking for a change: a form from the workflow's schema, a live preview of who must agree, a request."""

import json
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from accounts.acting import acting
from audit.ledger.record import record_refusal
from audit.refusals import Refusal
from audit.templatetags import words
from orchestration import access, asking, changes, evidence
from orchestration.definitions import repeats as times
from orchestration.definitions.repeats import Window
from orchestration.models import Change, Workflow
from orchestration.pages import facts, forms, repeating, trace, way, windows


@require_http_methods(["GET", "POST"])
@login_required
def new(request: HttpRequest, slug: str) -> HttpResponse:
    """The request form; a valid POST becomes a change that waits for its chain."""
    workflow = access.get_workflow_or_404(request.user, slug, may="request")
    if request.method == "GET":
        return _form(request, workflow, given=_prefill(request, workflow))
    given = typed(request, workflow)
    try:
        window = windows.read(request.POST)
        change = changes.request_change(asking.ask(**given, **window, by=acting(request)))
    except Refusal as refusal:
        record_refusal(
            refusal, attempted="change.request", subject=workflow.slug, actor=acting(request).actor
        )
        again = {**_shown(given), **windows.typed(request.POST)}
        return _form(request, workflow, given=again, refused=refusal)
    return redirect("orchestration:change", key=change.key)


@require_http_methods(["GET", "POST"])
@login_required
def edit(request: HttpRequest, key: str) -> HttpResponse:
    """The same form for a new revision: every sign-off given so far becomes void."""
    change = access.get_change_or_404(request.user, key, may="edit")
    if request.method == "GET":
        revision = asking.content_of(change)
        given = {
            "service": change.service.slug,
            "environment": change.environment.slug,
            "inputs": revision.inputs,
            "reason": revision.reason,
            **windows.of(revision),
        }
        return _form(request, change.workflow, given=given, change=change)
    given = typed(request, change.workflow)
    try:
        asked = asking.ask_again(
            change,
            inputs=given["inputs"],
            reason=given["reason"],
            window=_window(request),
            by=acting(request),
        )
        changes.revise(change, asked)
    except Refusal as refusal:
        record_refusal(refusal, attempted="change.revise", subject=change.key, actor=acting(request).actor)
        again = {**_shown(given), **windows.typed(request.POST)}
        return _form(request, change.workflow, given=again, change=change, refused=refusal)
    return redirect("orchestration:change", key=change.key)


@require_POST
@login_required
def preview(request: HttpRequest, slug: str) -> HttpResponse:
    """What policy would demand for what is typed now. Stores nothing."""
    workflow = access.get_workflow_or_404(request.user, slug, may="request")
    return previewed(request, typed(request, workflow))


def previewed(request: HttpRequest, given: dict[str, Any]) -> HttpResponse:
    """The panel's answer for what was typed."""
    try:
        found = asking.preview(**given, window=_window(request) or Window(), by=acting(request))
        steps = way.plan(map(facts.planned, found["steps"]), {step["key"]: step for step in found["steps"]})
        told = {"rules": trace.previewed(found), "steps": steps, "facts": json.dumps(found["facts"])}
        panel = {**answer(found), **told}
        panel["points"] += _evidence(request, given)
    except Refusal as refusal:
        panel = {"summary": "Not ready to submit.", "points": _problems(refusal)}
    return render(request, "components/preview_result.html", {"preview": panel})


def _evidence(request: HttpRequest, given: dict[str, Any]) -> list[dict[str, Any]]:
    """What has to be attached before anybody approves; nothing of an emergency."""
    place = access.visible_environments(request.user).filter(slug=given["environment"]).first()
    if place is None or given.get("emergency"):
        return []
    kinds = [evidence.TITLES[kind] for kind in evidence.required_in(place)]
    note = f"{', '.join(kinds).capitalize()}: attach it on the page of the change."
    return [{"state": "pending", "title": "Evidence before anybody approves", "note": note}] if kinds else []


def typed(request: HttpRequest, workflow: Workflow) -> dict[str, Any]:
    """What was typed; the writers validate it."""
    posted = request.POST
    return {
        "workflow": workflow.slug,
        "service": posted.get("service", ""),
        "environment": posted.get("environment", ""),
        "inputs": forms.values(schema(workflow), posted),
        "reason": posted.get("reason", ""),
    }


def _window(request: HttpRequest) -> Window | None:
    """The window of an edit; the old one stays where the form has no field for it."""
    if not set(windows.NAMES) & set(request.POST):
        return None
    read = windows.read(request.POST)
    return times.window(read["not_before"], read["not_after"], read["repeats"])


def _shown(given: dict[str, Any]) -> dict[str, Any]:
    return {key: given[key] for key in ("service", "environment", "inputs", "reason")}


def schema(workflow: Workflow) -> dict[str, Any]:
    """The JSON Schema of the active version's inputs."""
    return asking.inputs_schema(workflow.active) if workflow.active else {}


def _prefill(request: HttpRequest, workflow: Workflow) -> dict[str, Any]:
    """From an earlier change (`?from=CHG-1`), else from this person's last request of the workflow."""
    key = request.GET.get("from", "")
    me = acting(request).user
    old = access.visible_changes(me).filter(workflow=workflow, revision__isnull=False)
    old = old.filter(number=int(key[4:])) if key[4:].isdecimal() else old.filter(requester=me)
    last = old.select_related("revision", "service", "environment").order_by("-number").first()
    linked = {name: request.GET[name] for name in ("service", "environment") if name in request.GET}
    asked = {name: str(text) for name, text in request.GET.items() if name.startswith(forms.PREFIX)}
    if asked:  # a link that says what is to be asked for
        return {"inputs": forms.values(schema(workflow), asked), "reason": "", **linked}
    if last is None or last.revision is None:
        return {"inputs": {}, "reason": "", **linked}
    return {
        "service": last.service.slug,
        "environment": last.environment.slug,
        "inputs": last.revision.inputs,
        "reason": "",
        **linked,
    }


def _form(
    request: HttpRequest,
    workflow: Workflow,
    *,
    given: dict[str, Any],
    change: Change | None = None,
    refused: Refusal | None = None,
) -> HttpResponse:
    errors = errors_of(refused)
    context = {
        "workflow": workflow,
        "change": change,
        "given": given,
        "schema": forms.offered(schema(workflow)),
        "services": access.requestable_services(request.user, workflow.active),
        "environments": access.requestable_environments(request.user, workflow.active),
        "repeats": repeating.REPEATS,
        "errors": errors,
        "said": {error["pointer"]: error["detail"] for error in errors},
    }
    return render(request, "orchestration/request.html", context, status=refused.status if refused else 200)


def errors_of(refused: Refusal | None) -> list[dict[str, str]]:
    """What is wrong, by pointer; a refusal without any is one by itself."""
    if refused is None:
        return []
    return refused.errors or [{"pointer": "", "detail": str(refused)}]


def answer(found: dict[str, Any]) -> dict[str, Any]:
    """Policy's answer as the panel's sentences: who must agree, and when it may start. Why stands below them."""
    asked = [_demand(stage) for stage in found["require"]]
    yourself = {
        "state": "person",
        "title": "You cannot approve this yourself",
        "note": "You are the requester.",
    }
    return {
        "summary": summary(found),
        "points": [*asked, *([yourself] if asked else [])],
    }


def summary(found: dict[str, Any]) -> str:
    """`This needs 2 approvals: Service owner and Security.`"""
    if found["deny"]:
        return "Policy does not allow this."
    total = sum(stage["quorum"] for stage in found["require"])
    names = [stage["stage"].replace("_", " ").capitalize() for stage in found["require"]]
    listed = " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)
    return f"This needs {total} approval{'' if total == 1 else 's'}: {listed}."


def _demand(stage: dict[str, Any]) -> dict[str, Any]:
    people = [person["name"] for person in stage["people"]]
    who = ", ".join(people[:3]) + (f" and {len(people) - 3} others" if len(people) > 3 else "")
    return {
        "state": "waiting",
        "title": f"{stage['stage'].replace('_', ' ').capitalize()}, {stage['quorum']} of {who or 'nobody'}",
        "note": _terms(stage),
    }


def _terms(stage: dict[str, Any]) -> str:
    """`Signed with a passkey. Due within 4 h, then security may decide as well.`"""
    said = ["Signed with a passkey"] if stage["signature"] == "passkey" else []
    if stage.get("sealed"):
        said.append("Answered, and started, only once it is sealed in the ledger")
    if stage.get("member_for"):
        said.append(f"By whoever joined at least {words.span(stage['member_for'])} ago")
    if stage.get("due_in"):
        then = (
            f", then {' and '.join(stage['escalate_to'])} may decide as well"
            if "escalate_to" in stage
            else ""
        )
        said.append(f"Due within {words.span(stage['due_in'])}{then}")
    return " ".join(f"{one}." for one in said)


def _problems(refusal: Refusal) -> list[dict[str, str]]:
    """What is still to be done, a point each."""
    said = [error["detail"] for error in refusal.errors] or [str(refusal)]
    return [{"state": "warning", "title": one} for one in said]
