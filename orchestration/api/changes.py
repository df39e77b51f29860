"""Doors about changes: ask, read, edit, decide, end, remark. Each authorises, calls one function and answers."""

from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import once
from accounts.acting import acting
from approvals import sealing
from approvals.models import SignOff
from audit.rest.versions import require_match, versioned
from orchestration import access, asking, changes, notices
from orchestration.api import shown
from orchestration.api.lists import filtered, parameters
from orchestration.api.shapes import changes as shapes
from orchestration.definitions import repeats as times
from orchestration.definitions.repeats import Window
from orchestration.models import Change, Comment
from orchestration.search import CHANGE_KEYS

INBOX = 100  # rows of each kind


@extend_schema_view(get=extend_schema(parameters=parameters(CHANGE_KEYS)))
class Changes(generics.ListAPIView[Change]):
    """The changes that one may see, newest first; POST asks for one."""

    scopes: ClassVar[dict[str, str]] = {"GET": "changes:read", "POST": "changes:write"}
    serializer_class = shapes.ChangeRow
    ordering = "-number"

    def get_queryset(self) -> QuerySet[Change]:
        return shown.rows(filtered(access.visible_changes(self.request.user), self.request, CHANGE_KEYS))

    @extend_schema(request=shapes.Request, responses={201: shapes.ChangeDetail})
    def post(self, request: Request) -> Response:
        asked = shapes.Request(data=request.data)
        asked.is_valid(raise_exception=True)
        by = acting(request)

        def work(ready: asking.Asked) -> tuple[int, Any]:
            return 201, shown.change(changes.request_change(ready))

        return once.respond(
            request, work, prepare=lambda: asking.ask(**asked.validated_data, by=by), at=datetime.now(UTC)
        )


class Preview(APIView):
    """What policy would demand, and of whom. Stores nothing."""

    scopes: ClassVar[dict[str, str]] = {"POST": "changes:read"}

    @extend_schema(request=shapes.Ask, responses=shapes.Previewed)
    def post(self, request: Request) -> Response:
        asked = shapes.Ask(data=request.data)
        asked.is_valid(raise_exception=True)
        found = asking.preview(**asked.validated_data, by=acting(request))
        return Response(shapes.Previewed(found).data)


class OneChange(APIView):
    """One change; PATCH makes a new revision, which voids what was signed."""

    scopes: ClassVar[dict[str, str]] = {"GET": "changes:read", "PATCH": "changes:write"}

    @extend_schema(responses=shapes.ChangeDetail)
    def get(self, request: Request, key: str) -> Response:
        change = access.get_change_or_404(request.user, key)
        return Response(shown.change(change), headers=versioned(change))

    @extend_schema(request=shapes.Edit, responses=shapes.ChangeDetail)
    def patch(self, request: Request, key: str) -> Response:
        change = access.get_change_or_404(request.user, key, may="edit")
        asked = shapes.Edit(data=request.data)
        asked.is_valid(raise_exception=True)
        require_match(request, change)
        old, given = asking.content_of(change), asked.validated_data
        ready = asking.ask_again(
            change,
            inputs=given.get("inputs", old.inputs),
            reason=given.get("reason", old.reason),
            window=_window(asking.window_of(old), given),
            by=acting(request),
        )
        edited = changes.revise(change, ready)
        return Response(shown.change(edited), headers=versioned(edited))


class SignOffs(APIView):
    """Who said what on the newest revision. Only a person in a browser signs off: no scope opens POST to a token."""

    scopes: ClassVar[dict[str, str]] = {"GET": "changes:read"}

    @extend_schema(responses=shapes.SignOffRow(many=True))
    def get(self, request: Request, key: str) -> Response:
        change = access.get_change_or_404(request.user, key)
        if change.revision is None:  # it is being planned: nobody was asked yet
            return Response([])
        rows = change.revision.chain.sign_offs.select_related("user", "delegation__delegator")
        given = rows.order_by("given_at")
        return Response(shapes.SignOffRow(given, many=True).data)

    @extend_schema(request=shapes.Decide, responses={201: shapes.Decided})
    def post(self, request: Request, key: str) -> Response:
        change = access.get_change_or_404(request.user, key)
        asked = shapes.Decide(data=request.data)
        asked.is_valid(raise_exception=True)
        by = acting(request)
        access.require_recent(request._request, change)

        def work(_: None) -> tuple[int, Any]:
            verdict = changes.decide(change, **asked.validated_data, by=by)
            return 201, shown.decided(change, verdict)

        answer = once.respond(request, work, prepare=lambda: None, at=datetime.now(UTC))
        sealing.settle(SignOff.objects.filter(stage=asked.validated_data["stage"], person=by.user.person_id))
        return answer  # also where it was given before, and had no answer then


class WithdrawSignOff(APIView):
    """Take one's own sign-off back, until the start."""

    @extend_schema(request=None, responses=shapes.ChangeDetail)
    def post(self, request: Request, key: str, sign_off: UUID) -> Response:
        change = access.get_change_or_404(request.user, key)
        changes.withdraw_sign_off(change, sign_off, by=acting(request))
        return _fresh(request, key)


class Withdraw(APIView):
    """The requester no longer wants it."""

    scopes: ClassVar[dict[str, str]] = {"POST": "changes:write"}

    @extend_schema(request=None, responses=shapes.ChangeDetail)
    def post(self, request: Request, key: str) -> Response:
        changes.withdraw(access.get_change_or_404(request.user, key), by=acting(request))
        return _fresh(request, key)


class Start(APIView):
    """Only asks the gate."""

    scopes: ClassVar[dict[str, str]] = {"POST": "runs:write"}

    @extend_schema(request=None, responses=shapes.ChangeDetail)
    def post(self, request: Request, key: str) -> Response:
        changes.start(access.get_change_or_404(request.user, key), by=acting(request))
        return _fresh(request, key)


class Cancel(APIView):
    """Stop the run of this change."""

    scopes: ClassVar[dict[str, str]] = {"POST": "runs:write"}

    @extend_schema(request=None, responses=shapes.ChangeDetail)
    def post(self, request: Request, key: str) -> Response:
        changes.cancel(access.get_change_or_404(request.user, key), by=acting(request))
        return _fresh(request, key)


class Rollback(APIView):
    """Ask for a change that rolls this one back: of its own, with its own chain."""

    scopes: ClassVar[dict[str, str]] = {"POST": "changes:write"}

    @extend_schema(request=shapes.Rollback, responses={201: shapes.ChangeDetail})
    def post(self, request: Request, key: str) -> Response:
        change = access.get_change_or_404(request.user, key)
        asked = shapes.Rollback(data=request.data)
        asked.is_valid(raise_exception=True)
        reason, by = asked.validated_data["reason"], acting(request)

        def work(ready: asking.Asked) -> tuple[int, Any]:
            return 201, shown.change(changes.request_change(ready))

        return once.respond(
            request,
            work,
            prepare=lambda: asking.ask_rollback(change, reason=reason, by=by),
            at=datetime.now(UTC),
        )


class Comments(generics.ListAPIView[Comment]):
    """Remarks, newest first."""

    scopes: ClassVar[dict[str, str]] = {"GET": "changes:read", "POST": "changes:write"}
    serializer_class = shapes.CommentRow

    def get_queryset(self) -> QuerySet[Comment]:
        if "key" not in self.kwargs:  # the API's description is being made
            return Comment.objects.none()
        return access.get_change_or_404(self.request.user, self.kwargs["key"]).comments.select_related(
            "author"
        )

    @extend_schema(request=shapes.Remark, responses={201: shapes.CommentRow})
    def post(self, request: Request, key: str) -> Response:
        change = access.get_change_or_404(request.user, key)
        asked = shapes.Remark(data=request.data)
        asked.is_valid(raise_exception=True)
        by = acting(request)

        def work(_: None) -> tuple[int, Any]:
            said = changes.comment(change, text=asked.validated_data["text"], by=by)
            return 201, shapes.CommentRow(said).data

        return once.respond(request, work, prepare=lambda: None, at=datetime.now(UTC))


class Timeline(APIView):
    """Every act on a change, oldest first, as the ledger tells it."""

    scopes: ClassVar[dict[str, str]] = {"GET": "changes:read"}

    @extend_schema(responses=shapes.TimelineRow(many=True))
    def get(self, request: Request, key: str) -> Response:
        change = access.get_change_or_404(request.user, key)
        return Response(shapes.TimelineRow(shown.timeline(change), many=True).data)


class MyInbox(APIView):
    """What waits for this person."""

    scopes: ClassVar[dict[str, str]] = {"GET": "changes:read"}

    @extend_schema(responses=shapes.Inbox)
    def get(self, request: Request) -> Response:
        user = acting(request).user
        own = shown.rows(Change.objects.filter(requester=user)).order_by("-number")
        found = {
            "waiting": shown.rows(access.waiting_for(user))[:INBOX],
            "sent_back": own.filter(state=Change.State.SENT_BACK)[:INBOX],
            "unknown": own.filter(state=Change.State.UNKNOWN)[:INBOX],
            "steps": access.steps_for(user)[:INBOX],
            "notices": notices.of(user),
        }
        return Response(shapes.Inbox(found).data)


def _fresh(request: Request, key: str) -> Response:
    change = access.get_change_or_404(request.user, key)
    return Response(shown.change(change), headers=versioned(change))


def _window(old: Window, given: dict[str, Any]) -> Window:
    """The window of an edit: what it leaves out stays."""
    if not {"not_before", "not_after", "repeats"} & given.keys():
        return old
    said = dict(zip(("not_before", "not_after", "repeats"), times.said(old), strict=True))
    asked = {name: given.get(name, value) for name, value in said.items()}
    return times.window(asked["not_before"], asked["not_after"], asked["repeats"])
