"""The emergency door: a type of its own, so that no field of the normal door can open it."""

from datetime import UTC, datetime
from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import once
from accounts.acting import acting
from orchestration import access, asking, changes
from orchestration.api import shown
from orchestration.api.shapes import changes as shapes
from orchestration.definitions.digest import Emergency
from orchestration.models import Change


class Emergencies(generics.ListAPIView[Change]):
    """Emergency changes that one may see, newest first. POST asks for one: no scope opens it to a token."""

    scopes: ClassVar[dict[str, str]] = {"GET": "changes:read"}
    serializer_class = shapes.ChangeRow
    ordering = "-number"

    def get_queryset(self) -> QuerySet[Change]:
        seen = access.visible_changes(self.request.user)
        return shown.rows(seen.filter(kind=Change.Kind.BREAK_GLASS))

    @extend_schema(request=shapes.BreakGlass, responses={201: shapes.ChangeDetail})
    def post(self, request: Request) -> Response:
        asked = shapes.BreakGlass(data=request.data)
        asked.is_valid(raise_exception=True)
        by = acting(request)
        given = dict(asked.validated_data)
        emergency = Emergency(given.pop("incident"))

        def work(ready: asking.Asked) -> tuple[int, Any]:
            return 201, shown.change(changes.request_change(ready))

        return once.respond(
            request,
            work,
            prepare=lambda: asking.ask(**given, emergency=emergency, by=by),
            at=datetime.now(UTC),
        )
