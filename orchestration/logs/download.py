"""Hands out the text of a log over HTTP: whole or a range of bytes (RFC 9110, section 14), a piece at a time."""

import re
from collections.abc import Iterator

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from audit.rest.streamed import streamed
from orchestration.logs import reading
from orchestration.models import Step

RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")  # one range; several are answered with the whole


def download(request: HttpRequest, step: Step, *, name: str) -> HttpResponseBase:
    """The answer to GET or HEAD. While a step runs its text has no tag: it still grows."""
    known = reading.totals(step)
    if known.removed_at:
        return HttpResponse(
            "This log was removed; its root stands in the ledger.\n", status=410, content_type="text/plain"
        )
    headers = {
        "Accept-Ranges": "bytes",
        "Content-Disposition": f'attachment; filename="{_plain(name)}"',
        "Cache-Control": "private, no-cache",
        **({"ETag": known.tag} if known.tag else {}),
    }
    if known.tag and known.tag in request.headers.get("If-None-Match", ""):
        return HttpResponse(status=304, headers={**headers, "ETag": known.tag})
    wanted = _range(request, known)
    if wanted is None:
        return _answer(request, step, 0, known.bytes, status=200, headers=headers)
    start, stop = wanted
    if start >= known.bytes:
        return HttpResponse(status=416, headers={**headers, "Content-Range": f"bytes */{known.bytes}"})
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{known.bytes}"
    return _answer(request, step, start, stop, status=206, headers=headers)


def _range(request: HttpRequest, known: reading.Totals) -> tuple[int, int] | None:
    """From where up to where, the latter excluded; None for all of it."""
    found = RANGE.fullmatch(request.headers.get("Range", "").replace(" ", ""))
    same = request.headers.get("If-Range")
    if found is None or found[1] == found[2] == "" or (same is not None and same != known.tag):
        return None
    if found[1] == "":  # the last so many bytes
        last = int(found[2])
        return (max(0, known.bytes - last), known.bytes) if last else (known.bytes, known.bytes)
    start = int(found[1])
    if found[2] and int(found[2]) < start:
        return None  # not a range at all, and so not there
    return start, min(int(found[2]) + 1, known.bytes) if found[2] else known.bytes


def _answer(
    request: HttpRequest, step: Step, start: int, stop: int, *, status: int, headers: dict[str, str]
) -> HttpResponseBase:
    pieces = reading.text(step, start, stop) if stop > start else iter(())
    if request.method == "GET":
        pieces = _begun(pieces)
    body: Iterator[bytes] = iter(()) if request.method == "HEAD" else pieces
    told = {**headers, "Content-Length": str(stop - start)}
    return streamed(request, body, status=status, content_type="text/plain; charset=utf-8", headers=told)


def _begun(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same, its first piece read already: what cannot be had is refused before an answer begins."""
    first = next(pieces, None)

    def every() -> Iterator[bytes]:
        if first is not None:
            yield first
            yield from pieces

    return every()


def _plain(name: str) -> str:
    """A step's name may hold what a header must not."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", name)
