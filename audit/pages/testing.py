"""When the control tests were run last, by whom; run them now; what auditor and owner say about one of them."""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import URLPattern, path
from django.views.decorators.http import require_POST, require_safe

from audit.access import require_reader
from audit.controls import program
from audit.controls.catalogue import Control, control
from audit.ledger.entry import Actor
from audit.names import Names
from audit.reports import comments, tested

SHOWN = 12  # times that it was run
WORDS = {
    "effective": ("passed", "Effective"),
    "effective_with_exceptions": ("exception", "Effective with exceptions"),
    "not_effective": ("failed", "Not effective"),
    "not_tested": ("not_tested", "Nothing was tested"),
}


def urls(actor_of: Callable[[HttpRequest], Actor]) -> list[URLPattern]:
    """`actor_of` names who sent a request: accounts live above."""
    return [
        path("compliance/tested/", progress),
        path("compliance/test/", _tester(actor_of)),
        path("compliance/controls/<str:key>/comments/", _commenter(actor_of)),
    ]


@require_safe
@login_required
def progress(request: HttpRequest) -> HttpResponse:
    """How far the test under way is; once it is over, the page is loaded anew."""
    require_reader(request.user)
    context = state()
    answer = render(request, "audit/testing.html", context)
    if context["testing"] is None:
        answer["HX-Refresh"] = "true"
    return answer


def _tester(actor_of: Callable[[HttpRequest], Actor]) -> Callable[[HttpRequest], HttpResponse]:
    @require_POST
    @login_required
    def test(request: HttpRequest) -> HttpResponseRedirect:
        """POST /compliance/test/: run all of them now, and go back to where that was asked for."""
        require_reader(request.user)
        tested.ask(by=actor_of(request))
        key = request.POST.get("control", "")
        return redirect(f"/compliance/controls/{control(key).id}/" if key else "/compliance/")

    return test


def _commenter(actor_of: Callable[[HttpRequest], Actor]) -> Callable[..., HttpResponse]:
    @require_POST
    @login_required
    def comment(request: HttpRequest, key: str) -> HttpResponseRedirect:
        require_reader(request.user)
        comments.add(control(key), request.POST.get("text", ""), by=actor_of(request))
        return redirect(f"/compliance/controls/{control(key).id}/#comments")

    return comment


def state() -> dict[str, Any]:
    """What audit/testing.html shows: the test under way, the last one and by whom, and why that is too old."""
    last = tested.newest()
    return {
        "testing": tested.under_way(),
        "last": last,
        "last_by": _name(last) if last else "",
        "overdue": tested.overdue(last),
    }


def about(one: Control) -> dict[str, Any]:
    """Of one control test: who owns it, when which definition was used, what was said."""
    found = tested.history(one.id)
    now = (one.digest, program.digest())
    first = {(used.definition, used.program): used for used in found}  # the earliest stays
    return {
        "owner": owner(one),
        "program": program.digest(),
        "source": program.source(one.id),
        "runs": [
            {**vars(one), "state": WORDS[one.result][0], "words": WORDS[one.result][1]}
            for one in found[:SHOWN]
        ],
        "run_count": len(found),
        "versions": [
            {"used": used, "current": both == now}
            for both, used in sorted(first.items(), key=lambda pair: pair[1].at, reverse=True)
        ],
        "comments": comments.of(one),
    }


def owner(one: Control) -> str:
    """Whose control test it is, as the installation says; empty where it does not."""
    owners: dict[str, str] = settings.CONTROL_OWNERS
    return owners.get(one.id) or owners.get("", "")


def _name(last: Any) -> str:
    return Names([last.actor]).both(last.actor, last.tested_at) or "the schedule"
