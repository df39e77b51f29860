"""The doors of the API about policy and freezes. Each authorises, calls one function and answers."""

from collections.abc import Callable, Collection
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
from approvals.api.serializers import (
    FreezeRow,
    Lift,
    NewFreeze,
    PolicyRow,
    Simulated,
    Simulation,
    VersionDetail,
    VersionRow,
)
from approvals.models import Bundle, Freeze
from approvals.policy import preview
from audit.refusals import NotFound
from audit.rest.lookup import by_key
from audit.rest.versions import require_match, versioned

POLICY = "change"  # the one policy there is: who must agree to a change


class Policies(APIView):
    """The policies and the bundle that judges now. Everybody who is signed in may read the rules."""

    scopes: ClassVar[dict[str, str]] = {"GET": "changes:read"}

    @extend_schema(responses=PolicyRow(many=True))
    def get(self, request: Request) -> Response:
        active = Bundle.objects.filter(active=True).first()
        return Response([PolicyRow({"name": POLICY, "active": active}).data])


class Versions(generics.ListAPIView[Bundle]):
    """Every bundle that ever judged, newest first."""

    scopes: ClassVar[dict[str, str]] = {"GET": "changes:read"}
    serializer_class = VersionRow

    def get_queryset(self) -> QuerySet[Bundle]:
        if self.kwargs.get("name", POLICY) != POLICY:
            raise NotFound("There is no such policy.")
        return Bundle.objects.all()


class OneVersion(APIView):
    """One bundle with its rules and sources, by id or digest."""

    scopes: ClassVar[dict[str, str]] = {"GET": "changes:read"}

    @extend_schema(responses=VersionDetail)
    def get(self, request: Request, name: str, key: str) -> Response:
        if name != POLICY:
            raise NotFound("There is no such policy.")
        return Response(VersionDetail(by_key(Bundle.objects.all(), key, field="digest")).data)


class Simulate(APIView):
    """What the active bundle would answer to this input. Stores nothing, decides nothing."""

    scopes: ClassVar[dict[str, str]] = {"POST": "changes:read"}

    @extend_schema(request=Simulation, responses=Simulated)
    def post(self, request: Request) -> Response:
        asked = Simulation(data=request.data)
        asked.is_valid(raise_exception=True)
        return Response(preview(asked.validated_data["input"]))


class Freezes(generics.ListAPIView[Freeze]):
    """Freezes, newest first; an admin makes one."""

    scopes: ClassVar[dict[str, str]] = {"GET": "changes:read", "POST": "admin"}
    serializer_class = FreezeRow
    known: Callable[[], Collection[str]] | None = None  # given in config/urls.py: environments live above

    def get_queryset(self) -> QuerySet[Freeze]:
        return Freeze.objects.all()

    @extend_schema(request=NewFreeze, responses={201: FreezeRow})
    def post(self, request: Request) -> Response:
        asked = NewFreeze(data=request.data)
        asked.is_valid(raise_exception=True)
        by, known = acting(request), self.known() if self.known else ()

        def work(_: None) -> tuple[int, dict[str, Any]]:
            made = freezes.create(**asked.validated_data, known=known, by=by)
            return 201, FreezeRow(made).data

        return once.respond(request, work, prepare=lambda: None, at=datetime.now(UTC))


class OneFreeze(APIView):
    """One freeze; PATCH lifts it."""

    scopes: ClassVar[dict[str, str]] = {"GET": "changes:read", "PATCH": "admin"}

    @extend_schema(responses=FreezeRow)
    def get(self, request: Request, key: UUID) -> Response:
        freeze = _freeze(key)
        return Response(FreezeRow(freeze).data, headers=versioned(freeze))

    @extend_schema(request=Lift, responses=FreezeRow)
    def patch(self, request: Request, key: UUID) -> Response:
        asked = Lift(data=request.data)
        asked.is_valid(raise_exception=True)
        freeze = _freeze(key)
        require_match(request, freeze)
        lifted = freezes.lift(freeze.pk, reason=asked.validated_data["reason"], by=acting(request))
        return Response(FreezeRow(lifted).data, headers=versioned(lifted))


def _freeze(key: UUID) -> Freeze:
    found = Freeze.objects.filter(pk=key).first()
    if found is None:
        raise NotFound("There is no such freeze.")
    return found
