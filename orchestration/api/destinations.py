"""Destinations: where entries are sent, and how far each has been served. Making one is a governed act."""

from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import once
from accounts.acting import acting
from audit.refusals import NotAllowed
from audit.rest.strict import StrictSerializer
from orchestration.models import Destination
from orchestration.outgoing import batches, destinations


class DestinationRow(serializers.Serializer[Any]):
    """Where entries go. `position` is the index of the next entry; `behind` how many places of the log follow."""

    id = serializers.UUIDField(source="pk")
    name = serializers.CharField()
    kind = serializers.CharField()
    state = serializers.ChoiceField(source="stands", choices=["active", "failing", "given_up", "ended"])
    url = serializers.CharField()
    kinds = serializers.ListField(child=serializers.CharField())
    batch = serializers.IntegerField()
    names = serializers.BooleanField()
    secret = serializers.CharField(source="secret.path", allow_null=True, default=None)
    header = serializers.CharField()
    position = serializers.IntegerField()
    behind = serializers.SerializerMethodField()
    delivered_at = serializers.DateTimeField(allow_null=True)
    attempts = serializers.IntegerField()
    failing_since = serializers.DateTimeField(allow_null=True)
    last_error = serializers.CharField()
    next_try_at = serializers.DateTimeField(source="tries_again_at", allow_null=True)

    def get_behind(self, row: Destination) -> int:
        return row.behind(batches.sealed())


class Because(StrictSerializer):
    """Why, for the ledger."""

    reason = serializers.CharField(max_length=2000)


class Destinations(generics.ListAPIView[Destination]):
    """Those that were not ended, by name."""

    scopes: ClassVar[dict[str, str]] = {"GET": "audit:read"}
    serializer_class = DestinationRow
    ordering = "name"

    def get_queryset(self) -> QuerySet[Destination]:
        if not destinations.may_see(self.request.user):
            raise NotAllowed("You cannot see where entries are sent. Admins and auditors can.")
        return destinations.visible(self.request.user).standing()


class OneDestination(APIView):
    """One destination, an ended one too."""

    scopes: ClassVar[dict[str, str]] = {"GET": "audit:read"}

    @extend_schema(responses=DestinationRow)
    def get(self, request: Request, key: UUID) -> Response:
        return Response(DestinationRow(destinations.get_or_404(request.user, key)).data)


class TestDestination(APIView):
    """Write an entry that reaches the destination behind those that wait for it."""

    scopes: ClassVar[dict[str, str]] = {"POST": "admin"}

    @extend_schema(request=None, responses={202: DestinationRow})
    def post(self, request: Request, key: UUID) -> Response:
        by = acting(request)

        def work(row: Destination) -> tuple[int, Any]:
            destinations.test(row, by=by)
            return 202, DestinationRow(row).data

        return once.respond(
            request, work, prepare=lambda: destinations.get_or_404(request.user, key), at=datetime.now(UTC)
        )


class ResumeDestination(APIView):
    """Try it again now, whether it was given up or only waits."""

    scopes: ClassVar[dict[str, str]] = {"POST": "admin"}

    @extend_schema(request=Because, responses=DestinationRow)
    def post(self, request: Request, key: UUID) -> Response:
        row = destinations.get_or_404(request.user, key)
        destinations.resume(row, reason=_reason(request), by=acting(request))
        return Response(DestinationRow(row).data)


class SkipDestination(APIView):
    """Pass over the batch that does not arrive; the other side is shown the gap."""

    scopes: ClassVar[dict[str, str]] = {"POST": "admin"}

    @extend_schema(request=Because, responses=DestinationRow)
    def post(self, request: Request, key: UUID) -> Response:
        row = destinations.get_or_404(request.user, key)
        destinations.skip(row, reason=_reason(request), by=acting(request))
        return Response(DestinationRow(row).data)


def _reason(request: Request) -> str:
    asked = Because(data=request.data)
    asked.is_valid(raise_exception=True)
    return str(asked.validated_data["reason"])
