"""Attaching evidence on the change page, and removing a file. Each view fetches and authorises, then calls a writer."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_GET, require_POST

from accounts.acting import acting
from audit.ledger.record import record_refusal
from audit.refusals import NotFound, Refusal
from orchestration import access, evidence
from orchestration.models import EvidenceFile
from orchestration.pages.changes import context as page


@require_POST
@login_required
def attach(request: HttpRequest, key: str) -> HttpResponse:
    """A file, or the address and digest of something that lies elsewhere; a refusal keeps what was typed."""
    change, posted, by = access.get_change_or_404(request.user, key), request.POST, acting(request)
    given = request.FILES.get("file")
    kind = posted.get("kind", "")
    try:
        if given is not None:
            evidence.attach_file(change, evidence_kind=kind, name=given.name or "", data=given.read(), by=by)
        else:
            digest, address = posted.get("digest", "").strip(), posted.get("address", "").strip()
            evidence.attach(change, evidence_kind=kind, digest=digest, address=address, by=by)
    except Refusal as refusal:
        record_refusal(refusal, attempted="evidence.attach", subject=change.key, actor=by.actor)
        shown = {
            **page(request, access.get_change_or_404(request.user, key)),
            "typed": posted,
            "not_attached": refusal,
        }
        return render(request, "orchestration/change.html", shown, status=refusal.status)
    return redirect(f"/changes/{change.key}/#evidence")


@require_POST
@login_required
def remove(request: HttpRequest, key: str, digest: str) -> HttpResponse:
    change = access.get_change_or_404(request.user, key)
    evidence.remove_file(change, f"sha256:{digest}", by=acting(request))
    return redirect(f"/changes/{change.key}/#evidence")


@require_GET
@login_required
def download(request: HttpRequest, key: str, digest: str) -> HttpResponse:
    """The very bytes of a file, never opened by a browser."""
    change = access.get_change_or_404(request.user, key)
    kept = EvidenceFile.objects.filter(change=change, digest=f"sha256:{digest}").first()
    if kept is None:
        raise NotFound(f"{change.key} has no such file, or it was removed.")
    response = HttpResponse(bytes(kept.data), content_type="application/octet-stream")
    named = content_disposition_header(as_attachment=True, filename=kept.name) or "attachment"
    response["Content-Disposition"] = named
    response["X-Content-Type-Options"] = "nosniff"
    return response
