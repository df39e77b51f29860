"""What pipelines and observers tell: evidence for a change, and what runs."""

from datetime import UTC, datetime
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import once
from accounts.acting import acting
from audit.models import Entry
from audit.rest.strict import StrictSerializer
from orchestration import access, evidence


class NewEvidence(StrictSerializer):
    """What it is, the digest of its bytes, and where they lie."""

    kind = serializers.ChoiceField(choices=evidence.KINDS)
    digest = serializers.RegexField(r"^sha256:[0-9a-f]{64}\Z", max_length=71)
    address = serializers.URLField(max_length=evidence.MAX_ADDRESS)


class Observation(StrictSerializer):
    """Everything that runs of a service in an environment."""

    service = serializers.SlugField()
    environment = serializers.SlugField()
    artifacts = serializers.ListField(
        child=serializers.CharField(max_length=71), max_length=evidence.MAX_ARTIFACTS
    )


class Written(serializers.Serializer[Entry]):
    """The entry that tells it."""

    entry = serializers.UUIDField(source="pk")


class Piece(serializers.Serializer[evidence.Attached]):
    """One that was attached; `current`: to what is asked for now."""

    kind = serializers.CharField()
    digest = serializers.CharField()
    address = serializers.CharField()
    actor = serializers.CharField()
    at = serializers.DateTimeField()
    current = serializers.BooleanField()


class EvidenceList(serializers.Serializer[dict[str, Any]]):
    """What there is, the oldest first; the kinds that CT-10 asks for, and those of them that are missing."""

    needed = serializers.ListField(child=serializers.CharField())
    missing = serializers.ListField(child=serializers.CharField())
    evidence = Piece(many=True)


class AttachEvidence(APIView):
    """The evidence of a change; say that a piece of it belongs to what the change asks for now."""

    scopes: ClassVar[dict[str, str]] = {"GET": "changes:read", "POST": "changes:write"}

    @extend_schema(operation_id="changes_evidence_list", responses=EvidenceList)
    def get(self, request: Request, key: str) -> Response:
        change = access.get_change_or_404(request.user, key)
        found, now = evidence.attached(change), change.revision.digest if change.revision else ""
        pieces = [
            {"kind": one.kind, "digest": one.digest, "address": one.address, "actor": one.actor, "at": one.at,
             "current": one.of == now}
            for one in found
        ]  # fmt: skip
        told = {
            "needed": evidence.required(change),
            "missing": evidence.missing(change, found),
            "evidence": pieces,
        }
        return Response(EvidenceList(told).data)

    @extend_schema(request=NewEvidence, responses={201: Written})
    def post(self, request: Request, key: str) -> Response:
        change = access.get_change_or_404(request.user, key)
        asked = NewEvidence(data=request.data)
        asked.is_valid(raise_exception=True)
        given, by = asked.validated_data, acting(request)

        def work(_: None) -> tuple[int, Any]:
            made = evidence.attach(
                change, evidence_kind=given["kind"], digest=given["digest"], address=given["address"], by=by
            )
            return 201, Written(made).data

        return once.respond(request, work, prepare=lambda: None, at=datetime.now(UTC))


class Observe(APIView):
    """Tell everything that runs of a service in an environment now."""

    scopes: ClassVar[dict[str, str]] = {"POST": "deployments:write"}

    @extend_schema(request=Observation, responses={201: Written})
    def post(self, request: Request) -> Response:
        asked = Observation(data=request.data)
        asked.is_valid(raise_exception=True)
        given, by = asked.validated_data, acting(request)

        def work(_: None) -> tuple[int, Any]:
            made = evidence.observe(
                service=given["service"], environment=given["environment"], running=given["artifacts"], by=by
            )
            return 201, Written(made).data

        return once.respond(request, work, prepare=lambda: None, at=datetime.now(UTC))
