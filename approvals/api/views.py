"""The doors of the API about policy. Each authorises, calls one function and answers."""

from typing import ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from approvals.api.serializers import (
    PolicyRow,
    VersionDetail,
    VersionRow,
)
from approvals.models import Bundle
from audit.refusals import NotFound
from audit.rest.lookup import by_key

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
