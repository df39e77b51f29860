"""Runs: follow one, stop it, answer a step whose outcome is unknown."""

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from accounts.acting import acting
from orchestration import access
from orchestration.engine import cancel as cancelling
from orchestration.engine import pause as pausing
from orchestration.engine import resolve as resolving
from orchestration.models import Run, Step
from orchestration.pages import answering, fragments, listing, log_view, run_view, standing, undoing


@require_GET
@login_required
def index(request: HttpRequest) -> HttpResponse:
    """Every run the person may see, newest first."""
    return render(request, "orchestration/runs.html", listing.runs(request))


@require_GET
@login_required
def detail(request: HttpRequest, key: str) -> HttpResponse:
    """One run: steps, graph and the log of the chosen step, or of the one that matters most."""
    return render(request, "orchestration/run.html", context(request, key))


@require_GET
@login_required
def live(request: HttpRequest, key: str, part: str) -> HttpResponse:
    """One region of the page as it is now."""
    if part not in {"run", "log"}:
        raise Http404
    return fragments.answer(request, f"orchestration/parts/{part}.html", context(request, key))


def context(request: HttpRequest, key: str, *, typed: answering.Typed | None = None) -> dict[str, Any]:
    """All that the page of a run shows; `typed` is what somebody sent who is to send it again."""
    run = access.get_run_or_404(request.user, key)
    chosen = request.GET.get("step", "")
    may_operate = access.may_operate(request.user, run.change)
    actions: list[dict[str, Any]] = [
        {"label": f"Open {run.change.key}", "url": f"/changes/{run.change.key}/"}
    ]
    if may_operate and run.state in {Run.State.READY, Run.State.RUNNING}:
        verb = ("Go on", "resume") if run.paused_at else ("Pause the run", "pause")
        actions.append({"label": verb[0], "url": f"/runs/{run.key}/{verb[1]}/", "method": "post"})
        stop = {"label": "Stop the run", "url": f"/runs/{run.key}/cancel/", "method": "post", "danger": True}
        actions.append(stop)
    actions = [*undoing.offer(request, run.change), *actions]
    return {
        "run": run,
        "change": run.change,
        "may_operate": may_operate,
        "page_of_run": True,
        "chosen": chosen,
        "crumbs": [{"label": "Runs", "url": "/runs/"}, {"label": run.key}],
        "actions": actions,
        "meta": f"{run.change.service.name} in {run.change.environment.name}, {_of(run)}.",
        **run_view.context(run, run.source, chosen, log_view.first_line(request)),
        **answering.context(request.user, run, typed),
        **standing.context(request.user, run),
    }


def _of(run: Run) -> str:
    return f"plan {run.plan.number}: it only reads" if run.plan else f"revision {run.source.number}"


@require_POST
@login_required
def pause(request: HttpRequest, key: str) -> HttpResponse:
    run = access.get_run_or_404(request.user, key)
    access.require_operate(request.user, run.change)
    pausing.pause(run, by=acting(request), reason=request.POST.get("reason", ""))
    return redirect("orchestration:run", key=run.key)


@require_POST
@login_required
def resume(request: HttpRequest, key: str) -> HttpResponse:
    run = access.get_run_or_404(request.user, key)
    access.require_operate(request.user, run.change)
    pausing.resume(run, by=acting(request), reason=request.POST.get("reason", ""))
    return redirect("orchestration:run", key=run.key)


@require_POST
@login_required
def cancel(request: HttpRequest, key: str) -> HttpResponse:
    run = access.get_run_or_404(request.user, key)
    access.require_operate(request.user, run.change)
    cancelling.cancel(run, by=acting(request), reason="stopped by a person")
    return redirect("orchestration:run", key=run.key)


@require_POST
@login_required
def resolve(request: HttpRequest, key: str, step: str) -> HttpResponse:
    """A person says what became of a step that the product lost track of."""
    found = _step(request, key, step)
    access.require_answer(request.user, found.run)
    decision, reason = request.POST.get("decision", ""), request.POST.get("reason", "")
    resolving.resolve(found, decision, by=acting(request), reason=reason)
    return redirect("orchestration:run", key=key)


def _step(request: HttpRequest, key: str, step: str) -> Step:
    run: Run = access.get_run_or_404(request.user, key)
    return get_object_or_404(Step, run=run, key=step)
