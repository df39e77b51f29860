"""Doors about workflows, services and environments. Each authorises, calls one function and answers."""

from datetime import UTC, datetime
from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import once
from accounts.acting import Acting, acting
from accounts.bearer import ANY
from accounts.models import Team
from audit.refusals import Invalid, NotAllowed
from audit.rest.lookup import by_key
from audit.rest.versions import require_match, versioned
from orchestration import access, catalogue
from orchestration.api.shapes import catalogue as shapes
from orchestration.definitions import workflow as definitions
from orchestration.definitions.workflow import Definition
from orchestration.models import Environment, Service, Workflow, WorkflowVersion


class Workflows(generics.ListAPIView[Workflow]):
    """The workflows that one may see, by name."""

    scopes: ClassVar[dict[str, str]] = {"GET": "changes:read"}
    serializer_class = shapes.WorkflowRow
    ordering = "slug"

    def get_queryset(self) -> QuerySet[Workflow]:
        return access.visible_workflows(self.request.user).select_related("owner", "active__author")


class OneWorkflow(APIView):
    """One workflow with what it asks for and does."""

    scopes: ClassVar[dict[str, str]] = {"GET": "changes:read"}

    @extend_schema(responses=shapes.WorkflowDetail)
    def get(self, request: Request, slug: str) -> Response:
        workflow = access.get_workflow_or_404(request.user, slug)
        return Response(shapes.WorkflowDetail(workflow).data, headers=versioned(workflow))


class Schema(APIView):
    """The JSON Schema of a workflow definition, for editors."""

    scopes: ClassVar[dict[str, str]] = {"GET": ANY}

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def get(self, request: Request) -> Response:
        return Response(definitions.schema())


class Versions(generics.ListAPIView[WorkflowVersion]):
    """Every version of a workflow, newest first; POST adds one, which waits for its approval."""

    scopes: ClassVar[dict[str, str]] = {"GET": "changes:read", "POST": "admin"}
    serializer_class = shapes.WorkflowVersionRow
    ordering = "-number"

    def get_queryset(self) -> QuerySet[WorkflowVersion]:
        if "slug" not in self.kwargs:  # the API's description is being made
            return WorkflowVersion.objects.none()
        return access.get_workflow_or_404(self.request.user, self.kwargs["slug"]).versions.select_related(
            "author"
        )

    @extend_schema(request=shapes.NewVersion, responses={201: shapes.WorkflowVersionDetail})
    def post(self, request: Request, slug: str) -> Response:
        asked = shapes.NewVersion(data=request.data)
        asked.is_valid(raise_exception=True)
        given, by = asked.validated_data, acting(request)

        def work(definition: Definition) -> tuple[int, Any]:
            version = catalogue.add_version(
                definition, origin=given["origin"] or "upload", by=by, authors=given["authors"]
            )
            return 201, shapes.WorkflowVersionDetail(version).data

        return once.respond(request, work, prepare=lambda: _definition(slug, given), at=datetime.now(UTC))


class OneVersion(APIView):
    """One version, by number or digest."""

    scopes: ClassVar[dict[str, str]] = {"GET": "changes:read"}

    @extend_schema(responses=shapes.WorkflowVersionDetail)
    def get(self, request: Request, slug: str, digest: str) -> Response:
        return Response(shapes.WorkflowVersionDetail(_version(request, slug, digest)).data)


class ApproveVersion(APIView):
    """Somebody else of the owner team lets a version replace the active one. A person in a browser."""

    @extend_schema(request=None, responses=shapes.WorkflowDetail)
    def post(self, request: Request, slug: str, digest: str) -> Response:
        catalogue.approve_version(_version(request, slug, digest), by=acting(request))
        return Response(shapes.WorkflowDetail(access.get_workflow_or_404(request.user, slug)).data)


class RefuseVersion(APIView):
    """Somebody else of the owner team says no to a version."""

    @extend_schema(request=shapes.Refuse, responses=shapes.WorkflowVersionDetail)
    def post(self, request: Request, slug: str, digest: str) -> Response:
        asked = shapes.Refuse(data=request.data)
        asked.is_valid(raise_exception=True)
        version = _version(request, slug, digest)
        catalogue.refuse_version(version, reason=asked.validated_data["reason"], by=acting(request))
        return Response(shapes.WorkflowVersionDetail(_version(request, slug, digest)).data)


class Services(generics.ListAPIView[Service]):
    """The services that one may see, by name; an admin adds one."""

    scopes: ClassVar[dict[str, str]] = {"GET": "changes:read", "POST": "admin"}
    serializer_class = shapes.ServiceRow
    ordering = "slug"

    def get_queryset(self) -> QuerySet[Service]:
        return access.visible_services(self.request.user).select_related("owner")

    @extend_schema(request=shapes.NewService, responses={201: shapes.ServiceRow})
    def post(self, request: Request) -> Response:
        by = _admin(request)
        asked = shapes.NewService(data=request.data)
        asked.is_valid(raise_exception=True)

        def work(owner: Team) -> tuple[int, Any]:
            given = {**asked.validated_data, "owner": owner}
            return 201, shapes.ServiceRow(catalogue.create_service(**given, by=by.actor)).data

        owner = asked.validated_data["owner"]
        return once.respond(request, work, prepare=lambda: _team(owner), at=datetime.now(UTC))


class OneService(APIView):
    """One service; an edit sends back whatever was asked of it and has not started."""

    scopes: ClassVar[dict[str, str]] = {"GET": "changes:read", "PATCH": "admin"}

    @extend_schema(responses=shapes.ServiceRow)
    def get(self, request: Request, slug: str) -> Response:
        service = by_key(access.visible_services(request.user).select_related("owner"), slug)
        return Response(shapes.ServiceRow(service).data, headers=versioned(service))

    @extend_schema(request=shapes.EditService, responses=shapes.ServiceRow)
    def patch(self, request: Request, slug: str) -> Response:
        service = by_key(access.visible_services(request.user).select_related("owner"), slug)
        by = _admin(request)
        asked = shapes.EditService(data=request.data)
        asked.is_valid(raise_exception=True)
        require_match(request, service)
        catalogue.edit_service(service, by=by.actor, **asked.validated_data)
        return Response(shapes.ServiceRow(service).data, headers=versioned(service))


class Environments(generics.ListAPIView[Environment]):
    """The environments that one may see, in the order of promotion; an admin adds one."""

    scopes: ClassVar[dict[str, str]] = {"GET": "changes:read", "POST": "admin"}
    serializer_class = shapes.EnvironmentRow
    ordering = ("position", "id")

    def get_queryset(self) -> QuerySet[Environment]:
        return access.visible_environments(self.request.user)

    @extend_schema(request=shapes.NewEnvironment, responses={201: shapes.EnvironmentRow})
    def post(self, request: Request) -> Response:
        by = _admin(request)
        asked = shapes.NewEnvironment(data=request.data)
        asked.is_valid(raise_exception=True)

        def work(_: None) -> tuple[int, Any]:
            made = catalogue.create_environment(**asked.validated_data, by=by.actor)
            return 201, shapes.EnvironmentRow(made).data

        return once.respond(request, work, prepare=lambda: None, at=datetime.now(UTC))


class OneEnvironment(APIView):
    """One environment; an edit sends back whatever was asked of it and has not started."""

    scopes: ClassVar[dict[str, str]] = {"GET": "changes:read", "PATCH": "admin"}

    @extend_schema(responses=shapes.EnvironmentRow)
    def get(self, request: Request, slug: str) -> Response:
        environment = by_key(access.visible_environments(request.user), slug)
        return Response(shapes.EnvironmentRow(environment).data, headers=versioned(environment))

    @extend_schema(request=shapes.EditEnvironment, responses=shapes.EnvironmentRow)
    def patch(self, request: Request, slug: str) -> Response:
        environment = by_key(access.visible_environments(request.user), slug)
        by = _admin(request)
        asked = shapes.EditEnvironment(data=request.data)
        asked.is_valid(raise_exception=True)
        require_match(request, environment)
        catalogue.edit_environment(environment, by=by.actor, **asked.validated_data)
        return Response(shapes.EnvironmentRow(environment).data, headers=versioned(environment))


def _admin(request: Request) -> Acting:
    by = acting(request)
    if not by.user.is_superuser:
        raise NotAllowed("Only an administrator can do this; nothing was done.")
    return by


def _definition(slug: str, given: dict[str, Any]) -> Definition:
    definition = definitions.load(given["source"], given["files"])
    if definition.slug != slug:
        detail = f"The definition names the workflow {definition.slug}, not {slug}."
        raise Invalid(f"Nothing was stored. {detail}", errors=[{"pointer": "/source", "detail": detail}])
    return definition


def _version(request: Request, slug: str, digest: str) -> WorkflowVersion:
    workflow = access.get_workflow_or_404(request.user, slug)
    return by_key(workflow.versions.select_related("author", "workflow__owner"), digest, field="digest")


def _team(slug: str) -> Team:
    team = Team.objects.filter(slug=slug).first()
    if team is None:
        detail = f"There is no team {slug}."
        raise Invalid(f"Nothing was created. {detail}", errors=[{"pointer": "/owner", "detail": detail}])
    return team
