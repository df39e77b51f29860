"""Kill switches: which hold, and throwing one. Lifting is a governed act, so no door of the API does it."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.acting import acting
from approvals.models import KillSwitch
from audit.rest.strict import StrictSerializer
from orchestration import stopping


class KillSwitchRow(serializers.Serializer[Any]):
    """What must not start. `key` is what the governed act `kill-switch-lift` asks for."""

    id = serializers.UUIDField(source="pk")
    key = serializers.CharField()
    environment = serializers.CharField()
    action = serializers.CharField()
    hard = serializers.BooleanField()
    reason = serializers.CharField()
    thrown_by = serializers.CharField()
    thrown_at = serializers.DateTimeField()


class Throw(StrictSerializer):
    """`*` is every environment but the control room, or every action; `hard` stops what runs as well."""

    environment = serializers.CharField(max_length=50)
    action = serializers.CharField(max_length=50, required=False, default="*")
    hard = serializers.BooleanField(required=False, default=False)
    reason = serializers.CharField(max_length=2000)


class KillSwitches(generics.ListAPIView[KillSwitch]):
    """Those that hold now, newest first. POST throws one at once; the same one again changes nothing."""

    scopes: ClassVar[dict[str, str]] = {"GET": "changes:read", "POST": "admin"}
    serializer_class = KillSwitchRow
    ordering = "-thrown_at"

    def get_queryset(self) -> QuerySet[KillSwitch]:
        return stopping.visible(self.request.user)

    @extend_schema(request=Throw, responses={201: KillSwitchRow})
    def post(self, request: Request) -> Response:
        asked = Throw(data=request.data)
        asked.is_valid(raise_exception=True)
        thrown = stopping.throw(**asked.validated_data, by=acting(request))
        return Response(KillSwitchRow(thrown).data, status=201)
