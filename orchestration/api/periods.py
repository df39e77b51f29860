"""The doors of the API about freezes and windows. Each shows what one may see, calls one function and answers."""

from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import once
from accounts.acting import acting
from approvals import freezes
from approvals.api.serializers import FreezeRow, Lift, NewPeriod, WindowRow
from approvals.models import Freeze, Window
from audit.refusals import NotFound
from audit.rest.versions import require_match, versioned
from orchestration import calendar

SCOPES: dict[str, str] = {"GET": "changes:read", "POST": "admin", "PATCH": "admin"}


class Freezes(generics.ListAPIView[Freeze]):
    """Freezes, newest first; an admin makes one."""

    scopes: ClassVar[dict[str, str]] = SCOPES
    serializer_class = FreezeRow

    def get_queryset(self) -> QuerySet[Freeze]:
        return calendar.visible(Freeze, self.request.user)

    @extend_schema(request=NewPeriod, responses={201: FreezeRow})
    def post(self, request: Request) -> Response:
        asked = NewPeriod(data=request.data)
        asked.is_valid(raise_exception=True)
        by = acting(request)

        def work(_: None) -> tuple[int, dict[str, Any]]:
            return 201, FreezeRow(calendar.make(Freeze, asked.plan("freeze"), by=by)).data

        return once.respond(request, work, prepare=lambda: None, at=datetime.now(UTC))


class OneFreeze(APIView):
    """One freeze. PATCH does not lift it: it names the governed act that does."""

    scopes: ClassVar[dict[str, str]] = SCOPES

    @extend_schema(responses=FreezeRow)
    def get(self, request: Request, key: UUID) -> Response:
        freeze = self._found(request, key)
        return Response(FreezeRow(freeze).data, headers=versioned(freeze))

    @extend_schema(request=Lift, responses=FreezeRow)
    def patch(self, request: Request, key: UUID) -> Response:
        asked = Lift(data=request.data)
        asked.is_valid(raise_exception=True)
        freeze = self._found(request, key)
        require_match(request, freeze)
        lifted = freezes.lift(freeze.pk, reason=asked.validated_data["reason"], by=acting(request))
        return Response(FreezeRow(lifted).data, headers=versioned(lifted))

    def _found(self, request: Request, key: UUID) -> Freeze:
        found: Freeze | None = calendar.visible(Freeze, request.user).filter(pk=key).first()
        if found is None:
            raise NotFound("There is no such freeze, or it is not yours to see.")
        return found


class Windows(generics.ListAPIView[Window]):
    """Windows, newest first; an admin makes the first one of a scope."""

    scopes: ClassVar[dict[str, str]] = SCOPES
    serializer_class = WindowRow

    def get_queryset(self) -> QuerySet[Window]:
        return calendar.visible(Window, self.request.user)

    @extend_schema(request=NewPeriod, responses={201: WindowRow})
    def post(self, request: Request) -> Response:
        asked = NewPeriod(data=request.data)
        asked.is_valid(raise_exception=True)
        by = acting(request)

        def work(_: None) -> tuple[int, dict[str, Any]]:
            return 201, WindowRow(calendar.make(Window, asked.plan("window"), by=by)).data

        return once.respond(request, work, prepare=lambda: None, at=datetime.now(UTC))


class OneWindow(APIView):
    """One window."""

    scopes: ClassVar[dict[str, str]] = SCOPES

    @extend_schema(responses=WindowRow)
    def get(self, request: Request, key: UUID) -> Response:
        found: Window | None = calendar.visible(Window, request.user).filter(pk=key).first()
        if found is None:
            raise NotFound("There is no such window, or it is not yours to see.")
        return Response(WindowRow(found).data, headers=versioned(found))
