"""An entry in the browser, with its proof; the files to check the log without us.

Reads only, but for the entry that a bundle leaves of itself.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.http import FileResponse, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_POST

import audit.verify
from audit import search
from audit.access import require_reader
from audit.ledger import checkpoint, proofs
from audit.ledger.entry import Actor
from audit.ledger.record import record_refusal
from audit.models import Checkpoint, Leaf, Timestamp
from audit.pages import beside, proving, row, told
from audit.pages.picked import DAYS, fields
from audit.refusals import Invalid, NotFound
from audit.reports import bundle
from audit.rest.streamed import attachment

PAGE = 50  # checkpoints
VERSIONS = 12  # of a row that are shown on each side of one


@require_GET
@login_required
def entry(request: HttpRequest, index: int) -> HttpResponse:
    """GET /audit/<index>/: one entry, its proof in words, what was before and after it, its bytes."""
    require_reader(request.user)
    leaf = _leaf(index)
    said = told.sealed(leaf)
    ways = [told.way(name, said.get("data", {}).get(name)) for name in told.DECISIONS]
    text, fault, beside_it = request.GET.get("q", ""), None, {}
    try:
        beside_it = _neighbours(text, index)
    except Invalid as refused:
        fault = refused
    context = {
        "why": next(filter(None, ways), ""),
        "entry": told.told(leaf, told.names_of([leaf])),
        "said": said,
        "changes": row.changes(leaf),
        "raw": json.dumps(said, indent=2, ensure_ascii=False),
        "proof": proving.of_leaf(leaf),
        "history": _history(leaf),
        "q": "" if fault else text,
        "fault": fault,
        **beside_it,
    }
    return render(request, "audit/entry.html", context, status=fault.status if fault else 200)


@require_GET
@login_required
def within(request: HttpRequest, index: int) -> HttpResponse:
    """GET /audit/<index>/within/: what a row of the list shows when it is opened in its place."""
    require_reader(request.user)
    leaf = _leaf(index)
    raw = json.dumps(told.sealed(leaf), indent=2, ensure_ascii=False)
    context = {"changes": row.changes(leaf), "proof": proving.of_leaf(leaf), "raw": raw}
    return render(request, "audit/within.html", context)


@require_GET
@login_required
def body(request: HttpRequest, index: int) -> HttpResponse:
    """GET /audit/<index>/entry.json: the sealed bytes, exactly."""
    require_reader(request.user)
    return _file(bytes(_leaf(index).entry.body), f"entry-{index}.json", "application/json")


@require_GET
@login_required
def proof(request: HttpRequest, index: int) -> HttpResponse:
    """GET /audit/<index>/proof: a .tlog-proof for the sealed bytes."""
    require_reader(request.user)
    text = proofs.of_entry(_leaf(index).entry).text()
    return _file(text.encode(), f"entry-{index}.tlog-proof", "text/plain; charset=utf-8")


@require_GET
@login_required
def verifier(request: HttpRequest) -> HttpResponse | FileResponse:
    """GET /audit/verify.py: the program that checks without us."""
    require_reader(request.user)
    program = Path(str(audit.verify.__file__)).read_bytes()
    return _file(program, "countersign-verify.py", "text/x-python; charset=utf-8")


@require_GET
@login_required
def trust(request: HttpRequest) -> HttpResponse:
    """GET /audit/trust.json: what to pin, as this server tells it."""
    require_reader(request.user)
    signed = checkpoint.latest()
    if signed is None:
        raise NotFound("No checkpoint is signed yet.")
    return _file(checkpoint.trust(signed.size), "trust.json", "application/json")


@require_GET
@login_required
def stamp(request: HttpRequest, size: int) -> HttpResponse:
    """GET /audit/checkpoints/<size>.tsr: what a timestamp authority answered when it saw this checkpoint."""
    require_reader(request.user)
    kept = Timestamp.objects.filter(checkpoint=size).first()
    if kept is None:
        raise NotFound("No timestamp authority saw this checkpoint.")
    return _file(bytes(kept.reply), f"checkpoint-{size}.tsr", "application/timestamp-reply")


@require_GET
@login_required
def note(request: HttpRequest, size: int) -> HttpResponse:
    """GET /audit/checkpoints/<size>.note: the signed note of this checkpoint, which its timestamp is over."""
    require_reader(request.user)
    signed = Checkpoint.objects.filter(size=size).first()
    if signed is None:
        raise NotFound("No checkpoint of this size was signed.")
    return _file(signed.note.encode(), f"checkpoint-{size}.note", "text/plain; charset=utf-8")


def bundler(actor_of: Callable[[HttpRequest], Actor]) -> Callable[[HttpRequest], Any]:
    """POST /audit/bundle/: the log or a period of it, to be checked without us. Who took it is an entry."""

    @require_POST
    @login_required
    def take(request: HttpRequest) -> HttpResponseBase:
        require_reader(request.user)
        asked, by = {name: request.POST.get(name, "") for name in DAYS}, actor_of(request)
        try:
            made = bundle.take(asked, texts=request.POST.get("texts") == "on", by=by)
        except Invalid as fault:
            record_refusal(fault, attempted="bundle.take", subject="ledger", actor=by)
            return _checkpoints(request, fault)
        return attachment(request, made.pieces(), name=made.name, content_type="application/zip")

    return take


@require_GET
@login_required
def checkpoints(request: HttpRequest) -> HttpResponse:
    """GET /audit/checkpoints/: what was signed, newest first, and the key to note."""
    require_reader(request.user)
    return _checkpoints(request)


def _checkpoints(request: HttpRequest, fault: Invalid | None = None) -> HttpResponse:
    newest = list(
        Checkpoint.objects.select_related("timestamp")
        .prefetch_related("cosignatures")
        .order_by("-size")[:PAGE]
    )
    key = str(checkpoint.verifier()) if newest else ""
    context = {
        "checkpoints": newest,
        "stamped": any(hasattr(one, "timestamp") for one in newest),
        "key": key,
        "strip": proving.strip(),
        "beside": beside.lines(),
        "count": Checkpoint.objects.count(),
        "fields": fields(DAYS, request.POST, fault.errors if fault else ()),
        "fault": fault,
    }
    return render(request, "audit/checkpoints.html", context, status=fault.status if fault else 200)


def _leaf(index: int) -> Leaf:
    leaf = Leaf.objects.select_related("entry").filter(index=index).first()
    if leaf is None:
        raise NotFound("The log has no entry with this number yet.")
    return leaf


def _neighbours(text: str, index: int) -> dict[str, str]:
    """Where the newer and the older entry of the search are that the reader came from."""
    terms, asked = search.parse(text), f"?{urlencode({'q': text})}" if text else ""
    newer = search.page(terms, size=1, after=index).rows
    older = search.page(terms, size=1, before=index).rows
    beside = {"newer": newer, "older": older}
    return {name: f"/audit/{rows[0].index}/{asked}" if rows else "" for name, rows in beside.items()}


def _history(leaf: Leaf) -> list[told.Told]:
    """The versions of the same row around this one, oldest first."""
    version = leaf.entry.stream_version
    span = (version - VERSIONS, version + VERSIONS)
    rows = list(
        Leaf.objects.select_related("entry")
        .filter(entry__stream=leaf.entry.stream, entry__stream_version__range=span)
        .order_by("entry__stream_version")
    )
    names = told.names_of(rows)
    return [told.told(one, names) for one in rows] if len(rows) > 1 else []


def _file(data: bytes, name: str, content_type: str) -> HttpResponse:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(data, content_type=content_type, headers=headers)
