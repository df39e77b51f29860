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
from audit.controls.catalogue import control, controls
from audit.ledger.entry import Actor
from audit.models import Sample
from audit.pages.evidence import people
from audit.refusals import Invalid
from audit.reports import samples

FIELDS = ("control", "size", "nonce", "commitment", *samples.ASKED)
LISTED = 50
USUAL = "25"


def urls(actor_of: Callable[[HttpRequest], Actor]) -> list[URLPattern]:
    """`actor_of` names who sent a request: accounts live above."""
    return [
        path("compliance/samples/", _index(actor_of), name="samples"),
        path("compliance/samples/<uuid:key>/", _detail(actor_of), name="sample"),
        path("compliance/samples/<uuid:key>/draw/", _drawer(actor_of)),
        path("compliance/samples/<uuid:key>/mark/", _marker(actor_of)),
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
        if request.method == "POST":
            try:
                made = samples.ask(given["control"], given, by=actor_of(request))
                return redirect("sample", key=made.pk)
            except Invalid as refusal:
                errors, status = refusal.errors, refusal.status
        context = {
            "given": {**given, "size": given["size"] or USUAL}, "errors": errors, "controls": controls().values(),
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
        found = samples.get(key, user=request.user)
        drawn = samples.rows(found)
        shown = people([row for _, row in drawn])
        context = {
            **_shown(found), "mine": found.actor == actor_of(request).id, "ready": samples.sealed_by(found),
            "items": [
                {"place": place, "row": row, "mark": found.marks.get(str(place), "")}
                for (place, _), row in zip(drawn, shown, strict=True)
            ],
            "marked": len(found.marks), "marks": samples.MARKS,
        }  # fmt: skip
        return render(request, "audit/sample.html", context)

    return detail


def _drawer(actor_of: Callable[[HttpRequest], Actor]) -> Callable[..., HttpResponse]:
    @require_POST
    @login_required
    def draw(request: HttpRequest, key: UUID) -> HttpResponse:
        require_reader(request.user)
        samples.draw(samples.get(key, user=request.user), request.POST.get("nonce", ""), by=actor_of(request))
        return redirect("sample", key=key)

    return draw


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
