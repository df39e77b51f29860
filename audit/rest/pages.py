"""Pages of a list by cursor: `?cursor=&limit=` gives `{next, results}`, stable while rows are added."""

from typing import Any

from rest_framework.exceptions import NotFound
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response

from audit.refusals import Invalid

MAX_LIMIT = 200
MAX_DIGITS = 18


class CursorPages(CursorPagination):
    """Newest first by id, which is a UUIDv7; a view may name another unique `ordering`."""

    page_size = 50
    page_size_query_param = "limit"
    max_page_size = MAX_LIMIT
    ordering = "-id"

    def get_page_size(self, request: Request) -> int:
        given = request.query_params.get("limit")
        if given is None:
            return self.page_size or MAX_LIMIT
        if not (given.isascii() and given.isdigit() and 1 <= int(given[:6]) <= MAX_LIMIT):
            raise _invalid("/limit", f"limit is a number from 1 to {MAX_LIMIT}.")
        return int(given)

    def decode_cursor(self, request: Request) -> Cursor | None:
        try:
            return super().decode_cursor(request)
        except NotFound as error:
            raise _invalid("/cursor", "This cursor is not one that a list gave.") from error

    def position(self, request: Request) -> int | None:
        """The number from which a list goes on that is cut by its own means, as `link` gave it."""
        cursor = self.decode_cursor(request)
        if cursor is None:
            return None
        given = str(cursor.position)
        if not (given.isascii() and given.isdecimal()) or len(given) > MAX_DIGITS:
            raise _invalid("/cursor", "This cursor is not one that a list gave.")
        return int(given)

    def link(self, request: Request, position: int | None) -> str | None:
        """To the page that goes on from this number."""
        if position is None:
            return None
        self.base_url = request.build_absolute_uri()
        link: str = self.encode_cursor(Cursor(offset=0, reverse=False, position=position))
        return link

    def get_ordering(self, request: Request, queryset: Any, view: Any) -> tuple[str, ...]:
        ordering = getattr(view, "ordering", self.ordering)
        return (ordering,) if isinstance(ordering, str) else tuple(ordering)

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"next": self.get_next_link(), "results": data})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        link = {"type": ["string", "null"], "format": "uri"}
        return {
            "type": "object",
            "required": ["next", "results"],
            "properties": {"next": link, "results": schema},
        }


def _invalid(pointer: str, words: str) -> Invalid:
    return Invalid(f"Nothing was listed. {words}", errors=[{"pointer": pointer, "detail": words}])
