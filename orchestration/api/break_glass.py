"""The emergency door: a type of its own, so that no field of the normal door can open it."""

from datetime import UTC, datetime
from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import once
from accounts.acting import acting
from audit.refusals import NotFound
from orchestration import access, asking, changes, reviewing
from orchestration.api import shown
from orchestration.api.shapes import changes as shapes
from orchestration.api.shapes import reviewing as afterwards
from orchestration.definitions.digest import Emergency
from orchestration.models import Change, Review


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


class EmergencyReview(APIView):
    """The review of an emergency; POST adds one's conclusion, and the second closes it."""

    scopes: ClassVar[dict[str, str]] = {"GET": "changes:read"}

    @extend_schema(responses=afterwards.ReviewRow)
    def get(self, request: Request, key: str) -> Response:
        return Response(_review(access.get_change_or_404(request.user, key)))

    @extend_schema(request=afterwards.Conclude, responses={201: afterwards.ReviewRow})
    def post(self, request: Request, key: str) -> Response:
        change = access.get_change_or_404(request.user, key)
        asked = afterwards.Conclude(data=request.data)
        asked.is_valid(raise_exception=True)
        text, by = asked.validated_data["conclusion"], acting(request)

        def work(_: None) -> tuple[int, Any]:
            reviewing.conclude(change, text=text, by=by)
            return 201, _review(change)

        return once.respond(request, work, prepare=lambda: None, at=datetime.now(UTC))


def _review(change: Change) -> Any:
    review = Review.objects.filter(change=change).first()
    if review is None:
        raise NotFound(f"{change.key} has no review: it was no emergency, or it is not over.")
    return afterwards.ReviewRow(review).data
