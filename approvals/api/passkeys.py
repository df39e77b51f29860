"""The API about one's own passkeys. A passkey belongs to a person in a browser: no scope opens a writing door."""

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
from accounts.bearer import ANY
from approvals import ceremony, enrolment
from approvals.models import Passkey
from audit.rest.strict import StrictSerializer


class PasskeyRow(serializers.ModelSerializer[Passkey]):
    """A passkey, as its owner sees it."""

    host = serializers.CharField(source="rp_id")

    class Meta:
        model = Passkey
        fields = ["id", "name", "state", "credential_id", "host", "aaguid", "created_at"]


class NewPasskey(StrictSerializer):
    """What navigator.credentials.create() gave, as its toJSON() tells it, and a name for the device."""

    name = serializers.CharField(max_length=100)
    credential = serializers.DictField()


class CreationOptions(serializers.Serializer[Any]):
    """As WebAuthn's PublicKeyCredentialCreationOptionsJSON; bytes are base64url."""

    rp = serializers.DictField()
    user = serializers.DictField()
    challenge = serializers.CharField()
    pubKeyCredParams = serializers.ListField(child=serializers.DictField())  # noqa: N815 - the standard's name
    timeout = serializers.IntegerField()
    excludeCredentials = serializers.ListField(child=serializers.DictField())  # noqa: N815
    authenticatorSelection = serializers.DictField()  # noqa: N815
    attestation = serializers.CharField()


class Passkeys(generics.ListAPIView[Passkey]):
    """One's own passkeys, newest first; POST enrols one, which counts when somebody else has vouched for it."""

    scopes: ClassVar[dict[str, str]] = {"GET": ANY}
    serializer_class = PasskeyRow

    def get_queryset(self) -> QuerySet[Passkey]:
        if getattr(self, "swagger_fake_view", False):
            return Passkey.objects.none()
        return Passkey.objects.filter(user=acting(self.request).user)

    @extend_schema(request=NewPasskey, responses={201: PasskeyRow})
    def post(self, request: Request) -> Response:
        asked = NewPasskey(data=request.data)
        asked.is_valid(raise_exception=True)

        def work(_: None) -> tuple[int, Any]:
            return 201, PasskeyRow(ceremony.enrol(request, **asked.validated_data)).data

        return once.respond(request, work, prepare=lambda: None, at=datetime.now(UTC))


class PasskeyOptions(APIView):
    """What navigator.credentials.create() is to be told; the challenge in it is good for one answer."""

    @extend_schema(request=None, responses=CreationOptions)
    def post(self, request: Request) -> Response:
        return Response(ceremony.begin(request))


class RevokePasskey(APIView):
    """One's own passkey ends at once."""

    @extend_schema(request=None, responses=PasskeyRow)
    def post(self, request: Request, key: UUID) -> Response:
        return Response(PasskeyRow(enrolment.revoke(key, by=acting(request))).data)
