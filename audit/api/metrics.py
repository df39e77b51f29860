"""Measures of delivery and agreeing for machines: the same as the page, under one checkpoint."""

from typing import Any, ClassVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from audit.api.door import Door
from audit.pages.measured import Asked
from audit.pages.metrics import delivered, gather
from audit.reports import metrics
from audit.reports.metrics import Delivery

PICKED = ("from", "to", "environment", "service", "team", "checkpoint")


class Metrics(Door):
    """DORA's measures of each service, and how long approvals took. A rate over fewer than ten is null."""

    scopes: ClassVar[dict[str, str]] = {"GET": "reports:read"}

    @extend_schema(
        parameters=[OpenApiParameter(name, str) for name in PICKED], responses={200: OpenApiTypes.OBJECT}
    )
    def get(self, request: Request) -> Response:
        asked = gather(request.query_params)
        root = bytes(asked.signed.root).hex()
        return Response(
            {
                "checkpoint": {"size": asked.signed.size, "root": root},
                "scope": asked.scope.plain(),
                "services": [_row(one) for one in delivered(asked)],
                "approvals": _approvals(asked),
                "waiting": [
                    {"change": one.change, "stage": one.stage, "since": one.since}
                    for one in metrics.waiting(asked.facts)
                ],
            }
        )


def _row(one: Delivery) -> dict[str, Any]:
    return {
        "service": one.service, "deployments": one.deployments, "deployments_per_week": round(one.per_week, 3),
        "median_seconds_between": one.gap, "request_to_production_seconds": one.lead,
        "request_to_production_seconds_p90": one.lead_90, "change_fail_rate": one.fail_rate,
        "recovery_seconds": one.recovery, "rework_rate": one.rework_rate, "needed_intervention": one.failed,
        "emergencies": one.rework,
    }  # fmt: skip


def _approvals(asked: Asked) -> dict[str, Any]:
    seconds = [one.seconds for one in metrics.agreed(asked.facts, asked.scope)]
    half, most = metrics.percentile(seconds, 50), metrics.percentile(seconds, 90)
    return {"count": len(seconds), "median_seconds": half, "p90_seconds": most}
