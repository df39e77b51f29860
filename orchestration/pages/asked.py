"""A step that a person ticks off: what its form sends. Authorises, calls one writer, and draws the page again."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from accounts.acting import acting
from audit.ledger.record import record_refusal
from audit.refusals import Invalid
from orchestration import access
from orchestration.engine import answers
from orchestration.models import Step
from orchestration.pages import answering, forms, runs


@require_POST
@login_required
def answer(request: HttpRequest, key: str, step: str) -> HttpResponse:
    """Done or failed, with a note and what the step asks for; what does not fit comes back as it was typed."""
    run = access.get_run_or_404(request.user, key)
    found = get_object_or_404(Step, run=run, key=step)
    if found.state == Step.State.ASKING:
        access.require_tick_off(request.user, run, found)
    given, prefix = request.POST, f"{answering.prefix(found)}."
    note, outputs = given.get("note", ""), forms.values(answering.schema(found), given, prefix)
    try:
        answers.answer(found, given.get("decision", ""), by=acting(request), note=note, outputs=outputs)
    except Invalid as refused:
        record_refusal(refused, attempted="step.answer", subject=run.key, actor=acting(request).actor)
        typed = answering.Typed(found.key, note, outputs, refused.errors)
        page = runs.context(request, key, typed=typed)
        return render(request, "orchestration/run.html", page, status=refused.status)
    return redirect("orchestration:run", key=run.key)
