"""Samples as people see them: ask for one, draw it once its root stands, mark each item. Parses, calls, answers."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import URLPattern, path
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from audit.access import require_reader
from audit.controls.catalogue import control
from audit.ledger.entry import Actor
from audit.ledger.record import record_refusal
from audit.models import Sample
from audit.pages.evidence import people
from audit.pages.picked import fields
from audit.refusals import Invalid
from audit.reports import samples

FIELDS = ("control", "size", "nonce", "commitment", *samples.ASKED)
PICKED = ("control", "size", "from", "to", "environment", "nonce", "commitment")
HINTS = {
    "nonce": "At least 8 characters that nobody here can guess. They are kept from the log until the draw, not from"
    " this server.",
    "commitment": "Then not even this server knows them before the root stands: printf %s 'your words' | sha256sum."
    " You tell the words when you draw.",
}
LISTED = 50
USUAL = "25"


def urls(actor_of: Callable[[HttpRequest], Actor]) -> list[URLPattern]:
    """`actor_of` names who sent a request: accounts live above."""
    return [
        path("compliance/samples/", _index(actor_of), name="samples"),
        path("compliance/samples/<uuid:key>/", _detail(actor_of), name="sample"),
        path("compliance/samples/<uuid:key>/draw/", _drawer(actor_of)),
        path("compliance/samples/<uuid:key>/mark/", _marker(actor_of)),
        path("compliance/samples/<uuid:key>/<int:place>/proof", proof),
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
                made = samples.ask(given["control"], given, by=actor_of(request))
                return redirect("sample", key=made.pk)
            samples.read(given)
        except Invalid as refusal:
            if request.method == "POST":
                record_refusal(refusal, attempted="sample.ask", subject="samples", actor=actor_of(request))
            errors, status = refusal.errors, refusal.status
        context = {
            "errors": errors, "fields": fields(PICKED, {**given, "size": given["size"] or USUAL}, errors, HINTS),
            "samples": [_shown(one) for one in samples.visible(request.user)[:LISTED]],
        }  # fmt: skip
        return render(request, "audit/samples.html", context, status=status)

    return index


def _detail(actor_of: Callable[[HttpRequest], Actor]) -> Callable[..., HttpResponse]:
    @require_safe
    @login_required
    def detail(request: HttpRequest, key: UUID) -> HttpResponse:
        """Whether it can be drawn; and the items once it was."""
        require_reader(request.user)
        return _show(request, samples.get(key, user=request.user), actor_of(request))

    return detail


def _show(request: HttpRequest, found: Sample, by: Actor, fault: Invalid | None = None) -> HttpResponse:
    drawn = samples.rows(found)
    shown = people([row for _, row in drawn])
    context = {
        **_shown(found), "mine": found.actor == by.id, "ready": samples.sealed_by(found),
        "items": [
            {"place": place, "row": row, "mark": found.marks.get(str(place), "")}
            for (place, _), row in zip(drawn, shown, strict=True)
        ],
        "marked": len(found.marks), "marks": samples.MARKS, "errors": fault.errors if fault else [],
    }  # fmt: skip
    return render(request, "audit/sample.html", context, status=fault.status if fault else 200)


def _drawer(actor_of: Callable[[HttpRequest], Actor]) -> Callable[..., HttpResponse]:
    @require_POST
    @login_required
    def draw(request: HttpRequest, key: UUID) -> HttpResponse:
        require_reader(request.user)
        found, by = samples.get(key, user=request.user), actor_of(request)
        try:
            samples.draw(found, request.POST.get("nonce", ""), by=by)
        except Invalid as fault:
            record_refusal(fault, attempted="sample.draw", subject=found.control, actor=by)
            return _show(request, found, by, fault)
        return redirect("sample", key=key)

    return draw


@require_safe
@login_required
def proof(request: HttpRequest, key: UUID, place: int) -> HttpResponse:
    """A .tlog-proof of one item, under the checkpoint of the draw."""
    require_reader(request.user)
    index, text = samples.proof(samples.get(key, user=request.user), place)
    headers = {"Content-Disposition": f'attachment; filename="entry-{index}.tlog-proof"'}
    return HttpResponse(text, content_type="text/plain; charset=utf-8", headers=headers)


def _marker(actor_of: Callable[[HttpRequest], Actor]) -> Callable[..., HttpResponse]:
    @require_POST
    @login_required
    def mark(request: HttpRequest, key: UUID) -> HttpResponse:
        require_reader(request.user)
        place, found = request.POST.get("place", ""), request.POST.get("mark", "")
        samples.mark(samples.get(key, user=request.user), place, found, by=actor_of(request))
        return redirect(f"/compliance/samples/{key}/#item-{int(place)}")

    return mark


def _shown(one: Sample) -> dict[str, Any]:
    return {"sample": one, "control": control(one.control), "url": f"/compliance/samples/{one.pk}/"}
