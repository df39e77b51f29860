"""The page of the workers: who is there, what each holds, and what waits for whom."""

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from audit.refusals import NotAllowed
from orchestration import workers
from orchestration.pages import fragments


@require_GET
@login_required
def index(request: HttpRequest) -> HttpResponse:
    return render(request, "orchestration/workers.html", _page(request))


@require_GET
@login_required
def live(request: HttpRequest) -> HttpResponse:
    """The same as it is now."""
    return fragments.answer(request, "orchestration/parts/workers.html", _page(request))


def _page(request: HttpRequest) -> dict[str, Any]:
    if not workers.may_see(request.user):
        raise NotAllowed("You cannot see the workers. Whoever operates an environment can, and auditors.")
    waiting = [{"row": one, "why": workers.unserved(one)} for one in workers.depth()]
    return {"processes": workers.processes(), "waiting": waiting}
