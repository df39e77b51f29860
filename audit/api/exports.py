"""Exports for machines: ask for one, ask how far it is, take the file."""

from typing import Any, ClassVar
from uuid import UUID

from django.db.models import QuerySet
from django.http.response import HttpResponse, HttpResponseBase
from django.urls import URLPattern, path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from audit.api.door import Door, Once, WhoAsks
from audit.models import Export
from audit.reports import attestation, exports
from audit.rest.streamed import attachment
from audit.rest.strict import StrictSerializer


def urls(actor_of: WhoAsks, once: Once) -> list[URLPattern]:
    """Below /api/v1/reports/."""
    return [
        path("exports/", Exports.as_view(actor_of=actor_of, once=once)),
        path("exports/<uuid:key>/", OneExport.as_view()),
        path("exports/<uuid:key>/file", ExportFile.as_view(actor_of=actor_of)),
        path("exports/<uuid:key>/cancel/", CancelExport.as_view(actor_of=actor_of)),
        path("attestation-key", AttestationKey.as_view()),
    ]


# Written as data: `from` cannot be an attribute of a serializer's class.
class NewExport(StrictSerializer):
    """Which file, and of what; without a period it is of everything, without a checkpoint under the newest."""

    format = serializers.ChoiceField(choices=Export.Format.values)
    to = serializers.CharField(max_length=40, required=False, allow_blank=True)
    environment = serializers.CharField(max_length=100, required=False, allow_blank=True)
    framework = serializers.CharField(max_length=60, required=False, allow_blank=True)
    sample = serializers.CharField(
        max_length=36,
        required=False,
        allow_blank=True,
        help_text="its proofs go into a bundle of the whole log",
    )
    checkpoint = serializers.IntegerField(min_value=1, max_value=2**53, required=False)

    def get_fields(self) -> dict[str, Any]:
        since = serializers.CharField(max_length=40, required=False, allow_blank=True)
        return {**super().get_fields(), "from": since}


class ExportRow(serializers.ModelSerializer[Export]):
    """How far it is: `done` of `checkpoint_size` entries were read. `file` is there once `state` is done."""

    file = serializers.SerializerMethodField(help_text="where its bytes are")

    class Meta:
        model = Export
        fields = [
            "id", "format", "asked", "checkpoint_size", "state", "done", "problem", "name", "content_type", "size",
            "rows", "digest", "created_at", "ended_at", "file",
        ]  # fmt: skip

    def get_file(self, one: Export) -> str | None:
        return f"/api/v1/reports/exports/{one.pk}/file" if one.state == Export.State.DONE else None


class Exports(Door, generics.ListAPIView[Export]):
    """One's exports, newest first, and those of the schedule; POST asks for one, which a worker makes."""

    scopes: ClassVar[dict[str, str]] = {"GET": "reports:read", "POST": "reports:read"}
    serializer_class = ExportRow
    ordering = "-created_at"

    def get_queryset(self) -> QuerySet[Export]:
        return exports.visible(self.request.user)

    @extend_schema(request=NewExport, responses={201: ExportRow})
    def post(self, request: Request) -> Response:
        by = self.by()
        return self.create(
            NewExport(data=request.data), lambda form: ExportRow(exports.ask(form, by=by)).data
        )


class OneExport(Door):
    """One export."""

    scopes: ClassVar[dict[str, str]] = {"GET": "reports:read"}

    @extend_schema(responses=ExportRow)
    def get(self, request: Request, key: UUID) -> Response:
        return Response(ExportRow(exports.get(key, user=request.user)).data)


class CancelExport(Door):
    """End an export that waits or is being made; nothing of it is kept. By whoever asked for it, or an admin."""

    scopes: ClassVar[dict[str, str]] = {"POST": "reports:read"}

    @extend_schema(request=None, responses=ExportRow)
    def post(self, request: Request, key: UUID) -> Response:
        found = exports.get(key, user=request.user)
        return Response(ExportRow(exports.cancel(found, user=request.user, by=self.by())).data)


class ExportFile(Door):
    """The bytes of an export. That they were taken is an entry."""

    scopes: ClassVar[dict[str, str]] = {"GET": "reports:read"}

    @extend_schema(responses={(200, "application/octet-stream"): OpenApiTypes.BINARY})
    def get(self, request: Request, key: UUID) -> HttpResponseBase:
        found = exports.get(key, user=request.user)
        pieces = exports.hand_out(found, by=self.by())
        return attachment(request, pieces, name=found.name, content_type=found.content_type, size=found.size)


class AttestationKey(Door):
    """The public key that attestations are verified with, as PEM."""

    scopes: ClassVar[dict[str, str]] = {"GET": "reports:read"}

    @extend_schema(responses={(200, "application/x-pem-file"): OpenApiTypes.STR})
    def get(self, request: Request) -> HttpResponse:
        return HttpResponse(attestation.public_key(), content_type="application/x-pem-file")
