"""A file as an answer, in pieces: nothing holds it as a whole, whichever server it goes through."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, StreamingHttpResponse


def attachment(
    request: HttpRequest, pieces: Iterator[bytes], *, name: str, content_type: str, size: int | None = None
) -> StreamingHttpResponse:
    """The pieces under a name of ours."""
    plain = getattr(request, "_request", request)  # DRF's own wraps it
    content: Any = _awaited(pieces) if isinstance(plain, ASGIRequest) else pieces
    response = StreamingHttpResponse(content, content_type=content_type)
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    if size is not None:
        response["Content-Length"] = str(size)
    return response


async def _awaited(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Under ASGI an ordinary iterator would be read to its end before the first byte is sent."""
    following = sync_to_async(lambda: next(pieces, None))
    while (piece := await following()) is not None:
        yield piece
