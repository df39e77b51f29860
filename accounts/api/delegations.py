"""The API about standing in: one's own delegations, read with any credential and made in a session only."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import delegation, once
from accounts.acting import acting
from accounts.models import Delegation, Team, User
from audit.rest.strict import StrictSerializer


class Party(serializers.ModelSerializer[User]):
    """One of the two."""

    class Meta:
        model = User
        fields = ["id", "username", "name"]


class DelegationRow(serializers.ModelSerializer[Delegation]):
    """Who stands in for whom, where and how long; `teams` is empty where it covers all."""

    delegator = Party()
    delegate = Party()
    teams = serializers.SerializerMethodField()

    class Meta:
        model = Delegation
        fields = ["id", "delegator", "delegate", "teams", "starts_at", "ends_at", "ended_at", "reason"]

    def get_teams(self, row: Delegation) -> list[str]:
        if not row.team_ids:
            return []
        return sorted(Team.objects.filter(pk__in=row.team_ids).values_list("slug", flat=True))


class NewDelegation(StrictSerializer):
    """Who decides in one's place; without teams in all, without a beginning from now."""

    delegate = serializers.CharField(max_length=150)
    teams = serializers.ListField(child=serializers.SlugField(), default=list, max_length=100)
    starts_at = serializers.DateTimeField(default=None, allow_null=True)
    ends_at = serializers.DateTimeField()
    reason = serializers.CharField(max_length=delegation.MAX_REASON, default="", allow_blank=True)


class Delegations(generics.ListAPIView[Delegation]):
    """The delegations that one has given or holds, newest first; POST lets somebody decide in one's place."""

    scopes = {"GET": "changes:read"}
    serializer_class = DelegationRow

    def get_queryset(self) -> QuerySet[Delegation]:
        if getattr(self, "swagger_fake_view", False):
            return Delegation.objects.none()
        return delegation.of(acting(self.request).user)

    @extend_schema(request=NewDelegation, responses={201: DelegationRow})
    def post(self, request: Request) -> Response:
        """In a session only: nobody is sent away by a script."""
        asked = NewDelegation(data=request.data)
        asked.is_valid(raise_exception=True)
        by = acting(request)

        def work(_: None) -> tuple[int, Any]:
            return 201, DelegationRow(delegation.start(**asked.validated_data, by=by)).data

        return once.respond(request, work, prepare=lambda: None, at=datetime.now(UTC))


class EndDelegation(APIView):
    """Either of the two ends it, at once."""

    @extend_schema(request=None, responses=DelegationRow)
    def post(self, request: Request, pk: UUID) -> Response:
        by = acting(request)
        found = get_object_or_404(delegation.of(by.user), pk=pk)
        return Response(DelegationRow(delegation.end(found, by=by)).data)
