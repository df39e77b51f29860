"""One version of a workflow: what it would change, and the decision of somebody else of the owner team."""

import difflib
from collections.abc import Iterator

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from accounts.acting import acting
from audit.refusals import Invalid, NotFound
from orchestration import access, catalogue
from orchestration.models import WorkflowVersion


@require_GET
@login_required
def detail(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """The version with its difference from the active one, and the decision where it waits for this person."""
    version = _version(request, slug, number)
    active = version.workflow.active
    waits = version.state == WorkflowVersion.State.WAITING
    return render(request, "orchestration/version.html", {
        "version": version,
        "workflow": version.workflow,
        "difference": "\n".join(difference(active, version)),
        "compared": active if active and active.pk != version.pk else None,
        "may_decide": waits and catalogue.may_approve(version, by=acting(request)),
        "waits": waits,
    })  # fmt: skip


@require_POST
@login_required
def approve(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """It may be requested from here on; the one before it retires."""
    catalogue.approve_version(_version(request, slug, number), by=acting(request))
    return redirect("orchestration:workflow", slug=slug)


@require_POST
@login_required
def refuse(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """It stays as history; why is kept."""
    reason = request.POST.get("reason", "").strip()
    if not 1 <= len(reason) <= 2000:
        raise Invalid("The version was not refused: say why, in at most 2,000 characters.")
    catalogue.refuse_version(_version(request, slug, number), reason=reason, by=acting(request))
    return redirect("orchestration:version", slug=slug, number=number)


def difference(old: WorkflowVersion | None, new: WorkflowVersion) -> Iterator[str]:
    """The unified difference of the definition and of each file beside it; all of it where there is nothing older."""
    before = _texts(old) if old is not None and old.pk != new.pk else {}
    after = _texts(new)
    for name in sorted({*before, *after}):
        was, becomes = before.get(name, "").split("\n"), after.get(name, "").split("\n")
        yield from difflib.unified_diff(was, becomes, name, name, lineterm="")


def _texts(version: WorkflowVersion) -> dict[str, str]:
    return {
        "workflow.yaml": version.source,
        **{f"files/{name}": text for name, text in version.files.items()},
    }


def _version(request: HttpRequest, slug: str, number: int) -> WorkflowVersion:
    workflow = access.get_workflow_or_404(request.user, slug)
    found = workflow.versions.select_related("author", "workflow__owner", "workflow__active").filter(
        number=number
    )
    version = found.first()
    if version is None:
        raise NotFound("There is no such version.")
    return version
