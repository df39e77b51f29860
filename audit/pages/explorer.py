"""The log in the browser: search, one entry with its proof, the files to check it without us, an export.

Reads only, but for the entry that an export leaves of itself.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_POST

import audit.verify
from audit import search
from audit.access import require_reader
from audit.canonical import canonical
from audit.ledger import checkpoint, proofs
from audit.ledger.entry import Actor
from audit.ledger.record import record
from audit.models import Checkpoint, Leaf, Timestamp
from audit.pages import beside, proving, told
from audit.refusals import Invalid, NotFound
from audit.reports import bundle, population, sheet

PAGE = 50
EXPORT_MOST = 100_000  # rows; the whole log leaves by `manage.py ledger export`
NAMED = ("decision", "policy_decision")  # ids that have a page of their own


@require_GET
@login_required
def log(request: HttpRequest) -> HttpResponse:
    """GET /audit/: what fits the search, newest first."""
    require_reader(request.user)
    text = request.GET.get("q", "")
    terms = search.parse(text)
    rows, older, newer = _page(terms, request)
    names = told.names_of(rows)
    context = {
        "q": text,
        "chips": _chips(terms),
        "entries": [told.told(leaf, names) for leaf in rows],
        "older_url": _url(text, before=older) if older is not None else "",
        "newer_url": _url(text, after=newer) if newer is not None else "",
        "strip": proving.strip(),
        "holds": _holds(),
    }
    return render(request, "audit/log.html", context)


@require_GET
@login_required
def entry(request: HttpRequest, index: int) -> HttpResponse:
    """GET /audit/<index>/: one entry, its proof in words, its bytes."""
    require_reader(request.user)
    leaf = _leaf(index)
    said = told.sealed(leaf)
    ways = [_way(name, said.get("data", {}).get(name)) for name in NAMED]
    context = {
        "why": next(filter(None, ways), ""),
        "entry": told.told(leaf, told.names_of([leaf])),
        "said": said,
        "data": [
            (name.replace("_", " "), _shown(value), _way(name, value))
            for name, value in said.get("data", {}).items()
        ],
        "raw": json.dumps(said, indent=2, ensure_ascii=False),
        "proof": proving.of_leaf(leaf),
        "history": _history(leaf),
        "newer": index + 1 if Leaf.objects.filter(index=index + 1).exists() else None,
        "older": index - 1 if index else None,
    }
    return render(request, "audit/entry.html", context)


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
    def take(request: HttpRequest) -> StreamingHttpResponse:
        require_reader(request.user)
        made = bundle.take(
            {name: request.POST.get(name, "") for name in ("from", "to")}, by=actor_of(request)
        )
        headers = {"Content-Disposition": f'attachment; filename="{made.name}"'}
        return StreamingHttpResponse(made.pieces(), content_type="application/zip", headers=headers)

    return take


@require_GET
@login_required
def checkpoints(request: HttpRequest) -> HttpResponse:
    """GET /audit/checkpoints/: what was signed, newest first, and the key to note."""
    require_reader(request.user)
    newest = list(Checkpoint.objects.select_related("timestamp").order_by("-size")[:PAGE])
    key = str(checkpoint.verifier()) if newest else ""
    context = {
        "checkpoints": newest,
        "key": key,
        "strip": proving.strip(),
        "beside": beside.lines(),
        "count": Checkpoint.objects.count(),
    }
    return render(request, "audit/checkpoints.html", context)


def exporter(actor_of: Callable[[HttpRequest], Actor]) -> Callable[[HttpRequest], Any]:
    """POST /audit/export/: what fits the search as CSV. Who acts is known to the floor above."""

    @require_POST
    @login_required
    def export(request: HttpRequest) -> StreamingHttpResponse:
        require_reader(request.user)
        terms = search.parse(request.POST.get("q", ""))
        made = _sheet(terms)
        with transaction.atomic():
            record(
                "export.created", of=None, subject="ledger", actor=actor_of(request),
                what="entries", query=search.spell(terms), rows=made.count, digest=made.digest,
            )  # fmt: skip
        response = StreamingHttpResponse(made.pieces(), content_type="text/csv; charset=utf-8")
        response["Content-Disposition"] = 'attachment; filename="entries.csv"'
        return response

    return export


def _sheet(terms: list[search.Term]) -> sheet.Sheet:
    signed = checkpoint.latest()
    if signed is None:
        raise NotFound("Nothing was exported: no checkpoint is signed yet.")
    found = search.find(terms).filter(index__lt=signed.size)
    if found.count() > EXPORT_MOST:
        raise Invalid(f"Nothing was exported: more than {EXPORT_MOST} entries fit. Narrow the search.")
    manifest = {"checkpoint": signed.note, "query": search.spell(terms), "of": "entries"}
    rows = (row for _, row in population.cells(found.order_by("index").iterator(1000)))
    return sheet.write(population.COLUMNS, rows, manifest=manifest)


def _page(terms: list[search.Term], request: HttpRequest) -> tuple[list[Leaf], int | None, int | None]:
    """A page of leaves, and where the older and the newer one begin."""
    found, before, after = search.find(terms), _number(request, "before"), _number(request, "after")
    if after is not None:
        rows = list(found.filter(index__gt=after).order_by("index")[: PAGE + 1])
        more_newer, rows = len(rows) > PAGE, rows[:PAGE][::-1]
        return rows, rows[-1].index if rows else None, rows[0].index if rows and more_newer else None
    rows = list((found.filter(index__lt=before) if before is not None else found)[: PAGE + 1])
    more_older, rows = len(rows) > PAGE, rows[:PAGE]
    newer = rows[0].index if rows and before is not None else None
    return rows, rows[-1].index if more_older else None, newer


def _number(request: HttpRequest, name: str) -> int | None:
    given = request.GET.get(name, "")
    return int(given) if given.isascii() and given.isdigit() and len(given) < 19 else None


def _url(text: str, **where: int) -> str:
    return "?" + urlencode({**({"q": text} if text else {}), **where})


def _chips(terms: list[search.Term]) -> list[dict[str, str]]:
    rest = [search.spell([other for other in terms if other is not term]) for term in terms]
    return [
        {"key": term.key or "words", "value": term.value, "remove_url": "?" + urlencode({"q": without})}
        for term, without in zip(terms, rest, strict=True)
    ]


def _holds() -> str:
    first = Leaf.objects.select_related("entry").order_by("index").first()
    newest = Leaf.objects.order_by("-index").first()
    if first is None or newest is None:
        return ""
    return f"It holds {newest.index + 1} entries since {first.entry.occurred_at:%Y-%m-%d %H:%M} UTC."


def _leaf(index: int) -> Leaf:
    leaf = Leaf.objects.select_related("entry").filter(index=index).first()
    if leaf is None:
        raise NotFound("The log has no entry with this number yet.")
    return leaf


def _history(leaf: Leaf) -> list[told.Told]:
    """The other versions of the same row, oldest first: what the thing was before and became after."""
    rows = list(
        Leaf.objects.select_related("entry")
        .filter(entry__stream=leaf.entry.stream)
        .order_by("entry__stream_version")[:PAGE]
    )
    names = told.names_of(rows)
    return [told.told(one, names) for one in rows] if len(rows) > 1 else []


def _way(name: str, value: Any) -> str:
    """To what an entry names by its id; the floor above knows where that is."""
    return f"/go/{value}/" if name in NAMED and isinstance(value, str) and told.ID.fullmatch(value) else ""


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else canonical(value).decode()


def _file(data: bytes, name: str, content_type: str) -> HttpResponse:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(data, content_type=content_type, headers=headers)
