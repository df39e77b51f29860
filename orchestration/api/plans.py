"""Doors about plans: read what was found, fetch a file of it, let the plan steps look again."""

from datetime import UTC, datetime
from typing import Any, ClassVar

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import once
from accounts.acting import acting
from audit.refusals import NotFound
from orchestration import access, found, planning
from orchestration.api import shown
from orchestration.api.shapes import changes as shapes
from orchestration.models import Change


class OnePlan(APIView):
    """What the plan steps of a change found, riskiest first; POST lets them look again."""

    scopes: ClassVar[dict[str, str]] = {"GET": "changes:read", "POST": "changes:write"}

    @extend_schema(responses=shapes.PlanDetail)
    def get(self, request: Request, key: str) -> Response:
        return Response(shapes.PlanDetail(_found(access.get_change_or_404(request.user, key))).data)

    @extend_schema(request=None, responses={201: shapes.ChangeDetail})
    def post(self, request: Request, key: str) -> Response:
        change = access.get_change_or_404(request.user, key)
        by = acting(request)

        def work(_: None) -> tuple[int, Any]:
            planning.again(change, by=by)
            return 201, shown.change(change)

        return once.respond(request, work, prepare=lambda: None, at=datetime.now(UTC))


class OneArtifact(APIView):
    """The very bytes of a file that a plan step left."""

    scopes: ClassVar[dict[str, str]] = {"GET": "changes:read"}

    @extend_schema(responses={(200, "application/octet-stream"): OpenApiTypes.BINARY})
    def get(self, request: Request, key: str, step: str, name: str) -> HttpResponse:
        return found.download(_found(access.get_change_or_404(request.user, key)).plan, step, name)


def _found(change: Change) -> found.Found:
    seen = found.of_change(change)
    if seen is None:
        raise NotFound(f"Nothing was found for {change.key} yet: it has no plan, or its plan has not ended.")
    return seen
