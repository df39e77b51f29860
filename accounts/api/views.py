"""The doors of the API about people. Each authorises, calls one function and answers."""

from datetime import UTC, datetime
from typing import Any

from django.db.models import Prefetch, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import ceiling, once, tokens
from accounts.acting import acting
from accounts.api.serializers import Account, IssuedToken, Machine, Narrowing, NewToken, TeamRow, TokenRow
from accounts.bearer import ANY
from accounts.models import Membership, Team, Token, User
from audit.refusals import NotFound
from audit.rest.lookup import by_key


class Me(APIView):
    """The account that asks."""

    scopes = {"GET": ANY}

    @extend_schema(responses=Account)
    def get(self, request: Request) -> Response:
        return Response(Account(acting(request).user).data)


class Tokens(generics.ListAPIView[Token]):
    """One's tokens, and those of the service accounts that one answers for."""

    scopes = {"GET": "admin", "POST": "admin"}
    serializer_class = TokenRow

    def get_queryset(self) -> QuerySet[Token]:
        if getattr(self, "swagger_fake_view", False):
            return Token.objects.none()
        return Token.objects.answered_for_by(acting(self.request).user)

    @extend_schema(request=NewToken, responses={201: IssuedToken})
    def post(self, request: Request) -> Response:
        """Make a token. Its value is in this answer and nowhere else."""
        asked = NewToken(data=request.data)
        asked.is_valid(raise_exception=True)
        by, now = acting(request), datetime.now(UTC)

        def work(_: None) -> tuple[int, dict[str, Any]]:
            given = dict(asked.validated_data)
            user = _account(given.pop("account", by.user.username))
            issued = tokens.create(user=user, by=by, at=now, **given)
            return 201, {**TokenRow(issued.token).data, "value": issued.value}

        return once.respond(request, work, prepare=lambda: None, at=now, secret=("value",))


class RevokeToken(APIView):
    """End a token. What it did stays in the ledger."""

    scopes = {"POST": "admin"}

    @extend_schema(request=None, responses=TokenRow)
    def post(self, request: Request, token: str) -> Response:
        by = acting(request)
        found = by_key(Token.objects.answered_for_by(by.user), token, field="prefix")
        tokens.revoke(found, by=by)
        return Response(TokenRow(found).data)


class Machines(generics.ListAPIView[User]):
    """The service accounts that one answers for, with what their tokens may have at most; an admin sees all."""

    scopes = {"GET": "admin"}
    serializer_class = Machine

    def get_queryset(self) -> QuerySet[User]:
        if getattr(self, "swagger_fake_view", False):
            return User.objects.none()
        return ceiling.narrowable_by(acting(self.request).user)


class NarrowMachine(APIView):
    """Take scopes from the tokens of a service account, at once. To give more is the governed act account-scopes."""

    scopes = {"POST": "admin"}

    @extend_schema(request=Narrowing, responses=Machine)
    def post(self, request: Request, machine: str) -> Response:
        asked = Narrowing(data=request.data)
        asked.is_valid(raise_exception=True)
        by = acting(request)
        found = by_key(ceiling.narrowable_by(by.user), machine, field="username")
        ceiling.narrow(found, asked.validated_data["scopes"], by=by)
        return Response(Machine(found).data)


class Teams(generics.ListAPIView[Team]):
    """All teams and who is in them now."""

    scopes = {"GET": "changes:read"}
    serializer_class = TeamRow

    def get_queryset(self) -> QuerySet[Team]:
        return _teams()


class OneTeam(APIView):
    """One team, by id or slug."""

    scopes = {"GET": "changes:read"}

    @extend_schema(responses=TeamRow)
    def get(self, request: Request, key: str) -> Response:
        return Response(TeamRow(by_key(_teams(), key)).data)


def _teams() -> QuerySet[Team]:
    opened = Membership.objects.open().select_related("user").order_by("user__name")
    return Team.objects.prefetch_related(Prefetch("memberships", queryset=opened, to_attr="open_memberships"))


def _account(username: str) -> User:
    found = User.objects.filter(username=username).first()
    if found is None:
        raise NotFound(f"There is no account {username[:150]!r} that you answer for; no token was made.")
    return found
