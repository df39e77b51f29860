"""A body as an answer, in pieces: nothing holds it as a whole, whichever server it goes through."""

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, StreamingHttpResponse

CSV = "text/csv; charset=utf-8"


def attachment(
    request: HttpRequest, pieces: Iterator[bytes], *, name: str, content_type: str, size: int | None = None
) -> StreamingHttpResponse:
    """A file under a name of ours."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    if size is not None:
        headers["Content-Length"] = str(size)
    return streamed(request, pieces, content_type=content_type, headers=headers)


def streamed(
    request: HttpRequest,
    pieces: Iterator[bytes],
    *,
    content_type: str,
    headers: Mapping[str, str],
    status: int = 200,
) -> StreamingHttpResponse:
    """The answer to this request."""
    plain = getattr(request, "_request", request)  # DRF's own wraps it
    content: Any = _awaited(pieces) if isinstance(plain, ASGIRequest) else pieces
    return StreamingHttpResponse(content, status=status, content_type=content_type, headers=dict(headers))


async def _awaited(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Under ASGI an ordinary iterator would be read to its end before the first byte is sent."""
    following = sync_to_async(lambda: next(pieces, None))
    while (piece := await following()) is not None:
        yield piece
