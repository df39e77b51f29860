"""Control tests for machines: the same reports as the pages, computed from the same sealed entries."""

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from audit.api import door
from audit.controls.catalogue import Control, control
from audit.controls.evaluate import Report, Tested
from audit.refusals import Invalid
from audit.reports import controls as reports

LIMIT = 200
SCOPE = [
    OpenApiParameter("from", str, description="First day or moment of the period."),
    OpenApiParameter("to", str, description="First day or moment after the period."),
    OpenApiParameter("environment", str),
    OpenApiParameter(
        "checkpoint", str, description="Size of the checkpoint to test under; the newest without it."
    ),
]


# Written as data: `root` and `from` cannot be attributes of a serializer's class.
CheckpointRow = inline_serializer(
    "CheckpointRow", {"size": serializers.IntegerField(), "root": serializers.CharField()}
)
ScopeRow = inline_serializer(
    "ScopeRow",
    {name: serializers.CharField(allow_null=True) for name in ("from", "to", "environment")},
)


class ControlRow(serializers.Serializer[Any]):
    """One control test and its result."""

    id = serializers.CharField()
    version = serializers.IntegerField()
    title = serializers.CharField()
    statement = serializers.CharField()
    test = serializers.CharField()
    population_of = serializers.CharField()
    references = serializers.ListField(child=serializers.CharField())
    definition = serializers.CharField()
    result = serializers.ChoiceField(
        ["effective", "effective_with_exceptions", "not_effective", "not_tested"]
    )
    population = serializers.IntegerField()
    counts = serializers.DictField(child=serializers.IntegerField())


class ControlDetail(ControlRow):
    """The same, with what it was tested under."""

    checkpoint = CheckpointRow
    scope = ScopeRow
    report_digest = serializers.CharField()


class ControlList(serializers.Serializer[Any]):
    """All control tests over one scope."""

    checkpoint = CheckpointRow
    scope = ScopeRow
    report_digest = serializers.CharField()
    results = ControlRow(many=True)


class Evidence(serializers.Serializer[Any]):
    """Items of the population, oldest first; `next` is the cursor of the following ones."""

    checkpoint = CheckpointRow
    scope = ScopeRow
    report_digest = serializers.CharField()
    next = serializers.CharField(allow_null=True)
    results = serializers.ListField(child=serializers.DictField())


class Door(door.Door):
    """A token needs `reports:read`."""

    scopes: ClassVar[dict[str, str]] = {"GET": "reports:read"}


class Controls(Door):
    """Every control test over the chosen period and environment."""

    @extend_schema(operation_id="reports_controls_list", parameters=SCOPE, responses=ControlList)
    def get(self, request: Request) -> Response:
        report = reports.asked_report(request.query_params)
        return Response({**_under(report), "results": [_row(one) for one in report.tested]})


class OneControl(Door):
    """One control test."""

    @extend_schema(parameters=SCOPE, responses=ControlDetail)
    def get(self, request: Request, key: str) -> Response:
        control(key)
        report = reports.asked_report(request.query_params)
        return Response({**_row(report.of(key)), **_under(report)})


class ControlEvidence(Door):
    """The evidence for each item of the population."""

    @extend_schema(
        parameters=[*SCOPE, OpenApiParameter("cursor", str), OpenApiParameter("limit", int)],
        responses=Evidence,
    )
    def get(self, request: Request, key: str) -> Response:
        control(key)
        begin = _number(request, "cursor", 0, 10**9)
        limit = max(1, _number(request, "limit", 50, LIMIT))
        report = reports.asked_report(request.query_params)
        rows = report.of(key).rows
        more = str(begin + limit) if len(rows) > begin + limit else None
        return Response({**_under(report), "next": more, "results": rows[begin : begin + limit]})


def _number(request: Request, name: str, otherwise: int, most: int) -> int:
    text = request.query_params.get(name, str(otherwise))
    if not (text.isascii() and text.isdigit() and len(text) < 11 and int(text) <= most):
        words = f"{name} is a number up to {most}."
        raise Invalid(f"Nothing was listed. {words}", errors=[{"pointer": f"/{name}", "detail": words}])
    return int(text)


def _under(report: Report) -> dict[str, Any]:
    told = report.plain()
    return {"checkpoint": told["checkpoint"], "scope": told["scope"], "report_digest": report.digest}


def _row(tested: Tested) -> dict[str, Any]:
    return {**_words(tested.control), **tested.summary()}


def _words(one: Control) -> dict[str, Any]:
    return {
        "title": one.title,
        "statement": one.statement,
        "test": one.test,
        "population_of": one.population,
        "references": list(one.references),
    }
