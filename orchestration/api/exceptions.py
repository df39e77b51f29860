"""The register of exceptions. Reads only: one is granted by a governed act, and ended by a person in a browser."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from rest_framework import generics, serializers

from orchestration import waivers
from orchestration.api.shapes.changes import Who
from orchestration.models import Waiver


class ExceptionRow(serializers.Serializer[Any]):
    """An agreed deviation, with its owner and its end."""

    id = serializers.UUIDField(source="pk")
    rule = serializers.CharField()
    scope = serializers.CharField()
    reason = serializers.CharField()
    owner = Who()
    granted_by = serializers.CharField()
    starts_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)
    ended_reason = serializers.CharField()


class Exceptions(generics.ListAPIView[Waiver]):
    """The exceptions that one may see, the one that ends soonest first; those that are over come first of all."""

    scopes: ClassVar[dict[str, str]] = {"GET": "reports:read"}
    serializer_class = ExceptionRow
    ordering = ("ends_at", "id")

    def get_queryset(self) -> QuerySet[Waiver]:
        return waivers.visible(self.request.user)
