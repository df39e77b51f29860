"""Doors of a step's log: its lines, a search over all of it, its text. Each authorises and calls one function."""

from typing import ClassVar

from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from orchestration import access
from orchestration.api.lists import after, number
from orchestration.api.runs import AFTER, step_of
from orchestration.api.shapes import logs as shapes
from orchestration.logs import reading, searching
from orchestration.logs.download import download

FIRST = OpenApiParameter("first", int, description="whole lines from this number on, in place of `after`")
COUNT = OpenApiParameter("count", int, description="at most so many lines; 500 where nothing is said")


class Log(APIView):
    """What a step printed: whole lines from `first` on, or all pieces behind the number `after`."""

    scopes: ClassVar[dict[str, str]] = {"GET": "changes:read"}

    @extend_schema(parameters=[AFTER, FIRST, COUNT], responses=shapes.LogPage)
    def get(self, request: Request, key: str, step: str) -> Response:
        found = step_of(access.get_run_or_404(request.user, key), step)
        if "first" in request.query_params:
            first, count = number(request, "first"), number(request, "count", reading.PAGE_LINES)
            return Response(shapes.LogPage(reading.window(found, first, count)).data)
        return Response(shapes.LogPage(reading.log_after(found, after(request))).data)


class Search(APIView):
    """The lines of a log in which something stands: plain text, or an expression of RE2 with `regex=true`."""

    scopes: ClassVar[dict[str, str]] = {"GET": "changes:read"}

    @extend_schema(
        parameters=[
            OpenApiParameter("q", str, required=True, description="what to look for"),
            OpenApiParameter("first", int, description="tell lines from this number on"),
            OpenApiParameter("last", int, description="tell the lines up to this number instead"),
            OpenApiParameter("regex", bool),
            OpenApiParameter("case", bool, description="whether small and capital letters differ"),
        ],
        responses=shapes.LogFound,
    )
    def get(self, request: Request, key: str, step: str) -> Response:
        found = step_of(access.get_run_or_404(request.user, key), step)
        flags = {name: request.query_params.get(name) == "true" for name in ("regex", "case")}
        first, last = number(request, "first", 1), number(request, "last")
        words = request.query_params.get("q", "")
        return Response(shapes.LogFound(searching.search(found, words, first=first, last=last, **flags)).data)


class PlainText(BaseRenderer):
    """So that whoever asks for text is not refused; the answer itself is streamed."""

    media_type = "text/plain"
    format = "txt"
    charset = "utf-8"


class Text(APIView):
    """The text of a log, whole or a range of its bytes."""

    scopes: ClassVar[dict[str, str]] = {"GET": "changes:read"}
    renderer_classes = [JSONRenderer, PlainText]

    @extend_schema(
        parameters=[OpenApiParameter("Range", str, OpenApiParameter.HEADER, description="bytes=0-999")],
        responses={
            (200, "text/plain"): OpenApiTypes.BINARY,
            (206, "text/plain"): OpenApiTypes.BINARY,
            (410, "text/plain"): OpenApiTypes.STR,
            416: None,
        },
    )
    def get(self, request: Request, key: str, step: str) -> HttpResponseBase:
        found = step_of(access.get_run_or_404(request.user, key), step)
        return download(request._request, found, name=f"{key}-{found.key}.txt")
