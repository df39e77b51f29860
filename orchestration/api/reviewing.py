"""Doors about what reviewers do besides deciding. Only a person in a browser: no scope opens a POST to a token."""

from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import once
from accounts.acting import acting
from orchestration import access, changes, reviewing
from orchestration.api import shown
from orchestration.api.shapes import reviewing as shapes
from orchestration.api.shapes.changes import ChangeDetail, CommentRow, Remark


class Obligations(APIView):
    """What is still to be done, and what was: conditions of approvals, and what policy wants."""

    scopes: ClassVar[dict[str, str]] = {"GET": "changes:read"}

    @extend_schema(responses=shapes.ObligationRow(many=True))
    def get(self, request: Request, key: str) -> Response:
        change = access.get_change_or_404(request.user, key)
        if change.revision is None:  # it is being planned: nobody was asked yet
            return Response([])
        rows = change.revision.chain.obligations.select_related("chain", "sign_off__user", "closed_by")
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


class OneClaim(APIView):
    """Let others see that one is reviewing a stage, for half an hour; a hint that keeps nobody from deciding."""

    @extend_schema(request=shapes.Claim, responses=shapes.ClaimRow)
    def post(self, request: Request, key: str) -> Response:
        change = access.get_change_or_404(request.user, key)
        asked = shapes.Claim(data=request.data)
        asked.is_valid(raise_exception=True)
        made = reviewing.claim(change, **asked.validated_data, by=acting(request))
        return Response(shapes.ClaimRow(made).data)

    @extend_schema(request=None, responses={204: None})
    def delete(self, request: Request, key: str) -> Response:
        """Let others see that one is not reviewing any more."""
        reviewing.release(access.get_change_or_404(request.user, key), by=acting(request))
        return Response(status=204)


class HandOver(APIView):
    """Ask a colleague, who may decide the stage as well, to do it."""

    @extend_schema(request=shapes.HandOver, responses={201: shapes.HandOverRow})
    def post(self, request: Request, key: str) -> Response:
        change = access.get_change_or_404(request.user, key)
        asked = shapes.HandOver(data=request.data)
        asked.is_valid(raise_exception=True)
        by = acting(request)

        def work(_: None) -> tuple[int, Any]:
            made = reviewing.hand_over(change, **asked.validated_data, by=by)
            return 201, shapes.HandOverRow(made).data

        return once.respond(request, work, prepare=lambda: None, at=datetime.now(UTC))


class Recuse(APIView):
    """Say that one has a conflict of interest: what one signed is taken back, and one never counts on this change."""

    @extend_schema(request=shapes.Recuse, responses=ChangeDetail)
    def post(self, request: Request, key: str) -> Response:
        asked = shapes.Recuse(data=request.data)
        asked.is_valid(raise_exception=True)
        change = access.get_change_or_404(request.user, key)
        changes.recuse(change, reason=asked.validated_data["reason"], by=acting(request))
        return Response(shown.change(change))


class Ask(APIView):
    """A question to the requester, which sends nothing back."""

    @extend_schema(request=Remark, responses={201: CommentRow})
    def post(self, request: Request, key: str) -> Response:
        change = access.get_change_or_404(request.user, key)
        asked = Remark(data=request.data)
        asked.is_valid(raise_exception=True)
        by = acting(request)

        def work(_: None) -> tuple[int, Any]:
            return 201, CommentRow(reviewing.ask(change, text=asked.validated_data["text"], by=by)).data

        return once.respond(request, work, prepare=lambda: None, at=datetime.now(UTC))


class Answer(APIView):
    """The requester's answer to a question."""

    scopes: ClassVar[dict[str, str]] = {"POST": "changes:write"}

    @extend_schema(request=Remark, responses={201: CommentRow})
    def post(self, request: Request, key: str, question: UUID) -> Response:
        change = access.get_change_or_404(request.user, key)
        asked = Remark(data=request.data)
        asked.is_valid(raise_exception=True)
        by = acting(request)

        def work(_: None) -> tuple[int, Any]:
            said = reviewing.answer(change, question, text=asked.validated_data["text"], by=by)
            return 201, CommentRow(said).data

        return once.respond(request, work, prepare=lambda: None, at=datetime.now(UTC))
