"""Runs: follow one, read its log, stop it, answer a step whose outcome is unknown."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from accounts.acting import acting
from orchestration import access, changes
from orchestration.engine import logs
from orchestration.engine import resolve as resolving
from orchestration.models import Run, Step
from orchestration.pages import listing, run_view


@require_GET
@login_required
def index(request: HttpRequest) -> HttpResponse:
    """Every run the person may see, newest first."""
    return render(request, "orchestration/runs.html", listing.runs(request))


@require_GET
@login_required
def detail(request: HttpRequest, key: str) -> HttpResponse:
    """One run: steps, graph and the log of the step that matters most."""
    run = access.get_run_or_404(request.user, key)
    shown = run_view.context(run, run.revision, request.GET.get("step", ""))
    template = "orchestration/parts/run.html" if request.htmx else "orchestration/run.html"  # type: ignore[attr-defined]
    may_operate = access.may_operate(request.user, run.change)
    going = run.state in {Run.State.READY, Run.State.RUNNING}
    stop = {"label": "Stop the run", "url": f"/runs/{run.key}/cancel/", "method": "post", "danger": True}
    context = {
        "run": run,
        "change": run.change,
        "may_operate": may_operate,
        "page_of_run": True,
        "crumbs": [{"label": "Runs", "url": "/runs/"}, {"label": run.key}],
        "actions": [{"label": f"Open {run.change.key}", "url": f"/changes/{run.change.key}/"}]
        + ([stop] if going and may_operate else []),
        "meta": f"{run.change.service.name} in {run.change.environment.name}, revision {run.revision.number}.",
        **shown,
    }
    return render(request, template, context)


@require_POST
@login_required
def cancel(request: HttpRequest, key: str) -> HttpResponse:
    run = access.get_run_or_404(request.user, key)
    changes.cancel(run.change, by=acting(request))
    return redirect("orchestration:run", key=run.key)


@require_GET
@login_required
def log(request: HttpRequest, key: str, step: str) -> HttpResponse:
    """Lines after `?after=` as JSON: `{results: [{seq, stream, text, at}], after, ended}`."""
    found = _step(request, key, step)
    after = request.GET.get("after", "0")
    return JsonResponse(logs.log_after(found, int(after) if after.isdecimal() else 0))


@require_GET
@login_required
def log_text(request: HttpRequest, key: str, step: str) -> HttpResponseBase:
    """The whole log as text, all attempts."""
    found = _step(request, key, step)
    response = StreamingHttpResponse(logs.text(found), content_type="text/plain; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{key}-{found.key}.txt"'
    return response


@require_POST
@login_required
def resolve(request: HttpRequest, key: str, step: str) -> HttpResponse:
    """A person says what became of a step that the product lost track of."""
    found = _step(request, key, step)
    access.require_operate(request.user, found.run.change)
    resolving.resolve(found, request.POST.get("decision", ""), by=acting(request))
    return redirect("orchestration:run", key=key)


def _step(request: HttpRequest, key: str, step: str) -> Step:
    run: Run = access.get_run_or_404(request.user, key)
    return get_object_or_404(Step, run=run, key=step)
