"""Secrets: which there are, where they may be used, and new values for them. No answer ever holds a value."""

from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import once
from accounts.acting import acting
from accounts.models import Team
from audit.refusals import Invalid
from audit.rest.lookup import by_key
from audit.rest.strict import StrictSerializer
from audit.rest.versions import require_match, versioned
from orchestration.models import Secret
from orchestration.secrets import store
from orchestration.secrets.provider import MOST_BYTES


class SecretVersionRow(serializers.Serializer[Any]):
    """One version, without what it says."""

    number = serializers.IntegerField()
    author = serializers.CharField(source="author.username", allow_null=True, default=None)
    created_at = serializers.DateTimeField()
    destroyed_at = serializers.DateTimeField(allow_null=True)


class SecretRow(serializers.Serializer[Any]):
    """A name for a value, and where it may be used."""

    id = serializers.UUIDField(source="pk")
    version = serializers.IntegerField()
    path = serializers.CharField()
    provider = serializers.CharField()
    kept_as = serializers.CharField(source="source")
    owner = serializers.CharField(source="owner.slug")
    environments = serializers.ListField(child=serializers.CharField())
    services = serializers.ListField(child=serializers.CharField())
    workflows = serializers.ListField(child=serializers.CharField())
    versions = SecretVersionRow(many=True, source="versions.all")


class Scope(StrictSerializer):
    """Where a secret may be used."""

    environments = serializers.ListField(child=serializers.SlugField(), max_length=100)
    services = serializers.ListField(child=serializers.SlugField(), max_length=100, default=list)
    workflows = serializers.ListField(child=serializers.SlugField(), max_length=100, default=list)


class NewSecret(Scope):
    """A name that has no value yet."""

    path = serializers.CharField(max_length=150)
    owner = serializers.SlugField()


class NewValue(StrictSerializer):
    """A value. It is sealed, and no answer repeats it."""

    value = serializers.CharField(max_length=MOST_BYTES, trim_whitespace=False, write_only=True)


class Secrets(generics.ListAPIView[Secret]):
    """The secrets of one's teams, by path; POST names another one."""

    scopes: ClassVar[dict[str, str]] = {"GET": "changes:read", "POST": "secrets:write"}
    serializer_class = SecretRow
    ordering = "path"

    def get_queryset(self) -> QuerySet[Secret]:
        return store.visible(self.request.user).prefetch_related("versions__author")

    @extend_schema(request=NewSecret, responses={201: SecretRow})
    def post(self, request: Request) -> Response:
        asked = NewSecret(data=request.data)
        asked.is_valid(raise_exception=True)
        given, by = dict(asked.validated_data), acting(request)

        def work(owner: Team) -> tuple[int, Any]:
            made = store.create(path=given["path"], owner=owner, scope=_scope(given), by=by)
            return 201, SecretRow(made).data

        return once.respond(request, work, prepare=lambda: _team(given["owner"]), at=datetime.now(UTC))


class OneSecret(APIView):
    """One secret; PATCH lets it be used in fewer places."""

    scopes: ClassVar[dict[str, str]] = {"GET": "changes:read", "PATCH": "secrets:write"}

    @extend_schema(responses=SecretRow)
    def get(self, request: Request, key: UUID) -> Response:
        secret = _secret(request, key)
        return Response(SecretRow(secret).data, headers=versioned(secret))

    @extend_schema(request=Scope, responses=SecretRow)
    def patch(self, request: Request, key: UUID) -> Response:
        secret = _secret(request, key)
        asked = Scope(data=request.data)
        asked.is_valid(raise_exception=True)
        require_match(request, secret)
        store.narrow(secret, _scope(asked.validated_data), by=acting(request))
        return Response(SecretRow(secret).data, headers=versioned(secret))


class SecretVersions(APIView):
    """A new value. What is signed off already keeps the version that it names."""

    scopes: ClassVar[dict[str, str]] = {"POST": "secrets:write"}

    @extend_schema(request=NewValue, responses={201: SecretVersionRow})
    def post(self, request: Request, key: UUID) -> Response:
        asked = NewValue(data=request.data)
        asked.is_valid(raise_exception=True)
        by, value = acting(request), asked.validated_data["value"]

        def work(secret: Secret) -> tuple[int, Any]:
            return 201, SecretVersionRow(store.write(secret, value, by=by)).data

        return once.respond(request, work, prepare=lambda: _secret(request, key), at=datetime.now(UTC))


class DestroySecretVersion(APIView):
    """Take the value of one version away for good; a change that was signed off with it does not start."""

    scopes: ClassVar[dict[str, str]] = {"POST": "secrets:write"}

    @extend_schema(request=None, responses=SecretRow)
    def post(self, request: Request, key: UUID, number: int) -> Response:
        store.destroy(_secret(request, key), number, by=acting(request))
        return Response(SecretRow(_secret(request, key)).data)


def _secret(request: Request, key: UUID) -> Secret:
    found: Secret = by_key(store.visible(request.user), str(key))
    return found


def _scope(given: Any) -> dict[str, list[str]]:
    return {name: list(given[name]) for name in store.SCOPE}


def _team(slug: str) -> Team:
    team = Team.objects.filter(slug=slug).first()
    if team is None:
        detail = f"There is no team {slug}."
        raise Invalid(f"Nothing was created. {detail}", errors=[{"pointer": "/owner", "detail": detail}])
    return team
