"""Doors about what reviewers do besides deciding. Only a person in a browser: no scope opens a POST to a token."""

from typing import ClassVar
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.acting import acting
from orchestration import access, asking, reviewing
from orchestration.api.shapes import reviewing as shapes


class Obligations(APIView):
    """What is still to be done, and what was: conditions of approvals, and what policy wants."""

    scopes: ClassVar[dict[str, str]] = {"GET": "changes:read"}

    @extend_schema(responses=shapes.ObligationRow(many=True))
    def get(self, request: Request, key: str) -> Response:
        change = access.get_change_or_404(request.user, key)
        rows = asking.current_revision(change).chain.obligations.select_related(
            "chain", "sign_off__user", "closed_by"
        )
        return Response(shapes.ObligationRow(rows, many=True).data)


class CloseObligation(APIView):
    """Say that it is met, and how one knows."""

    @extend_schema(request=shapes.Close, responses=shapes.ObligationRow)
    def post(self, request: Request, key: str, obligation: UUID) -> Response:
        change = access.get_change_or_404(request.user, key)
        asked = shapes.Close(data=request.data)
        asked.is_valid(raise_exception=True)
        closed = reviewing.close_obligation(
            change, obligation, note=asked.validated_data["note"], by=acting(request)
        )
        return Response(shapes.ObligationRow(closed).data)
