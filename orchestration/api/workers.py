"""The workers and what waits for them. Reads only: a worker is enrolled at a terminal that has the workers' keys."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from audit.refusals import NotAllowed
from orchestration import workers


class ProcessRow(serializers.Serializer[Any]):
    """One worker process; `faults` say what somebody should see to."""

    boot_id = serializers.UUIDField(source="node.boot_id")
    worker = serializers.CharField(source="node.worker.name", allow_null=True, default=None)
    host = serializers.CharField(source="node.host")
    release = serializers.CharField(source="node.release")
    environments = serializers.ListField(source="node.worker.environments", default=list)
    labels = serializers.ListField(source="node.worker.labels", default=list)
    state = serializers.CharField()
    held = serializers.IntegerField()
    started_at = serializers.DateTimeField(source="node.started_at")
    seen_at = serializers.DateTimeField(source="node.seen_at")
    clock_offset_ms = serializers.IntegerField(source="node.clock_offset_ms")
    faults = serializers.ListField(child=serializers.CharField())


class QueueRow(serializers.Serializer[Any]):
    """What is due and what runs of one environment and pool; `why` says why nobody takes it."""

    environment = serializers.CharField()
    pool = serializers.ListField(child=serializers.CharField())
    ready = serializers.IntegerField()
    running = serializers.IntegerField()
    oldest_seconds = serializers.IntegerField()
    why = serializers.SerializerMethodField()

    def get_why(self, row: workers.Waiting) -> str:
        return workers.unserved(row)


class WorkersPage(serializers.Serializer[Any]):
    processes = ProcessRow(many=True)
    queue = QueueRow(many=True)


class Workers(APIView):
    """Worker processes that were seen within the hour, and the queue by environment and pool."""

    scopes: ClassVar[dict[str, str]] = {"GET": "reports:read"}

    @extend_schema(responses=WorkersPage)
    def get(self, request: Request) -> Response:
        if not workers.may_see(request.user):
            raise NotAllowed("You cannot see the workers. Whoever operates an environment can, and auditors.")
        found = {"processes": workers.processes(), "queue": workers.depth()}
        return Response(WorkersPage(found).data)
