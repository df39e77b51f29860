"""A region of a page, fetched again at a hint: answered with nothing when nothing changed."""

from hashlib import sha256
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def answer(request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    """The drawn fragment with its ETag, or 304: so a poll or a hint never redraws what is the same."""
    response = render(request, template, context)
    etag = f'"{sha256(response.content).hexdigest()[:32]}"'
    if request.headers.get("If-None-Match") == etag:
        response = HttpResponse(status=304)
    response["ETag"] = etag
    return response
