"""Exports as people see them: ask for one, watch it, take the file. Parses, calls one function, answers."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import URLPattern, path
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from audit.access import require_reader
from audit.ledger import checkpoint
from audit.ledger.entry import Actor
from audit.ledger.record import record_refusal
from audit.models import Export
from audit.pages.picked import fields
from audit.refusals import Refusal, TooMany
from audit.reports import exports
from audit.rest.streamed import attachment

LISTED = 50
AGAIN = (Export.State.FAILED, Export.State.CANCELLED, Export.State.REMOVED)  # what is asked for once more
FIELDS = ("format", *exports.ASKED)
PICKED = ("from", "to", "environment", "framework")
FORMATS = {
    "xlsx": ("Workbook", "Manifest, population, results and exceptions as sheets."),
    "csv": ("CSV and manifest", "The same as files with their SHA-256, and the raw evidence as JSON Lines."),
    "pdf": ("PDF", "To read and to print: a summary, a page for each control test, and who signed what."),
    "dsse": ("Attestations", "One signed statement for each execution (DSSE, in-toto), for admission tools."),
    "oscal": ("OSCAL", "Assessment results 1.2.1 for tools of governance and risk."),
    "bundle": (
        "Evidence bundle",
        "The entries themselves with proofs, and the program that checks them offline.",
    ),
}


def urls(actor_of: Callable[[HttpRequest], Actor]) -> list[URLPattern]:
    """`actor_of` names who sent a request: accounts live above."""
    return [
        path("compliance/exports/", _index(actor_of), name="exports"),
        path("compliance/exports/<uuid:key>/", detail, name="export"),
        path("compliance/exports/<uuid:key>/file/", _taker(actor_of)),
        path("compliance/exports/<uuid:key>/cancel/", _canceller(actor_of)),
    ]


def _index(actor_of: Callable[[HttpRequest], Actor]) -> Callable[[HttpRequest], Any]:
    """The list and the form; POST asks for one."""

    @require_http_methods(["GET", "HEAD", "POST"])
    @login_required
    def index(request: HttpRequest) -> HttpResponse:
        require_reader(request.user)
        sent = request.POST if request.method == "POST" else request.GET
        given = {name: sent.get(name, "") for name in FIELDS}
        errors, status = [], 200
        try:
            if request.method == "POST":
                return redirect("export", key=exports.ask(given, by=actor_of(request)).pk)
            exports.read(given)
        except Refusal as refusal:
            if request.method == "POST" and not isinstance(refusal, TooMany):
                record_refusal(refusal, attempted="export.ask", subject="ledger", actor=actor_of(request))
            errors, status = refusal.errors or [{"pointer": "", "detail": str(refusal)}], refusal.status
        context = {
            "given": given, "errors": errors, "formats": FORMATS, "fields": fields(PICKED, given, errors),
            "sealed": checkpoint.latest(),
            "exports": [shown(one, request.user) for one in exports.visible(request.user)[:LISTED]],
        }  # fmt: skip
        return render(request, "audit/exports.html", context, status=status)

    return index


@require_safe
@login_required
def detail(request: HttpRequest, key: UUID) -> HttpResponse:
    """How far it is, and the file once it is there."""
    require_reader(request.user)
    context = {"export": shown(exports.get(key, user=request.user), request.user)}
    part = "audit/export_live.html" if request.headers.get("HX-Request") else "audit/export.html"
    return render(request, part, context)


def _taker(actor_of: Callable[[HttpRequest], Actor]) -> Callable[..., HttpResponseBase]:
    """A POST: that the file left the house is an entry."""

    @require_POST
    @login_required
    def take(request: HttpRequest, key: UUID) -> HttpResponseBase:
        require_reader(request.user)
        found = exports.get(key, user=request.user)
        pieces = exports.hand_out(found, by=actor_of(request))
        return attachment(request, pieces, name=found.name, content_type=found.content_type, size=found.size)

    return take


def _canceller(actor_of: Callable[[HttpRequest], Actor]) -> Callable[..., HttpResponse]:
    @require_POST
    @login_required
    def cancel(request: HttpRequest, key: UUID) -> HttpResponse:
        require_reader(request.user)
        exports.cancel(exports.get(key, user=request.user), user=request.user, by=actor_of(request))
        return redirect("export", key=key)

    return cancel


def shown(one: Export, user: Any) -> dict[str, Any]:
    """An export as the pages tell it to whoever looks."""
    return {
        "mine": one.actor == str(user.pk), "may_cancel": exports.may_cancel(one, user),
        "again": one.state in AGAIN and list(one.asked.items()),
        "row": one, "title": FORMATS[one.format][0], "note": FORMATS[one.format][1], "of": _of(one),
        "url": f"/compliance/exports/{one.pk}/", "reading": min(one.done, one.checkpoint_size),
        "scheduled": one.actor_kind == "system",
    }  # fmt: skip


def _of(one: Export) -> str:
    """What was asked, in words."""
    asked = one.asked
    if asked.get("sample"):
        return "the whole log, with the proofs of a sample"
    since, until = asked.get("from"), asked.get("to")
    span = f"from {since}" if since else "from the beginning"
    span += f" to before {until}" if until else ""
    where = asked.get("environment") or "all environments"
    return ", ".join([span, where, *([asked["framework"]] if asked.get("framework") else [])])
