"""What the API shows and takes about workflows, services and environments. Reads rows, decides nothing."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from audit.rest.strict import StrictSerializer
from orchestration.definitions import inputs as forms
from orchestration.definitions.source import MAX_BYTES
from orchestration.models import Environment, Service, Workflow, WorkflowVersion


class WorkflowVersionRow(serializers.ModelSerializer[WorkflowVersion]):
    """A version in few words."""

    author = serializers.CharField(source="author.username", allow_null=True, default=None)

    class Meta:
        model = WorkflowVersion
        fields = ["id", "number", "digest", "state", "origin", "author", "created_at"]


class WorkflowVersionDetail(WorkflowVersionRow):
    """A version, whole: what it asks for, where it may land, what it does."""

    inputs_schema = serializers.SerializerMethodField()
    environments = serializers.ListField(child=serializers.CharField())
    steps = serializers.ListField(child=serializers.DictField())

    class Meta(WorkflowVersionRow.Meta):
        fields = [
            *WorkflowVersionRow.Meta.fields,
            "inputs_schema",
            "environments",
            "steps",
            "source",
            "files",
        ]

    @extend_schema_field(serializers.DictField())
    def get_inputs_schema(self, version: WorkflowVersion) -> dict[str, Any]:
        return forms.schema(version.document)


class WorkflowRow(serializers.ModelSerializer[Workflow]):
    """A workflow and the version that may be requested."""

    owner = serializers.CharField(source="owner.slug")
    active = WorkflowVersionRow(allow_null=True)
    environments = serializers.SerializerMethodField()

    class Meta:
        model = Workflow
        fields = ["id", "slug", "title", "summary", "owner", "version", "active", "environments"]

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_environments(self, workflow: Workflow) -> list[str]:
        return workflow.active.environments if workflow.active else []


class WorkflowDetail(WorkflowRow):
    """A workflow with what it asks for and does."""

    inputs_schema = serializers.SerializerMethodField()
    steps = serializers.SerializerMethodField()

    class Meta(WorkflowRow.Meta):
        fields = [*WorkflowRow.Meta.fields, "inputs_schema", "steps"]

    @extend_schema_field(serializers.DictField(allow_null=True))
    def get_inputs_schema(self, workflow: Workflow) -> dict[str, Any] | None:
        return forms.schema(workflow.active.document) if workflow.active else None

    @extend_schema_field(serializers.ListField(child=serializers.DictField()))
    def get_steps(self, workflow: Workflow) -> list[dict[str, Any]]:
        return workflow.active.steps if workflow.active else []


class NewVersion(StrictSerializer):
    """A definition as its author wrote it, and the scripts beside it by path."""

    source = serializers.CharField(max_length=MAX_BYTES, trim_whitespace=False)  # type: ignore[assignment]
    files = serializers.DictField(
        child=serializers.CharField(trim_whitespace=False, allow_blank=True), required=False, default=dict
    )
    origin = serializers.CharField(max_length=200, required=False, default="", allow_blank=True)
    authors = serializers.ListField(
        child=serializers.CharField(max_length=150),
        required=False,
        default=list,
        max_length=100,
        help_text="usernames of commit authors, who agree to nothing that it does",
    )


class Refuse(StrictSerializer):
    """Why a version is not taken."""

    reason = serializers.CharField(max_length=2000)


class ServiceRow(serializers.ModelSerializer[Service]):
    """What is changed, and the team that is asked first."""

    owner = serializers.CharField(source="owner.slug")

    class Meta:
        model = Service
        fields = ["id", "slug", "name", "tier", "owner", "version"]


class NewService(StrictSerializer):
    slug = serializers.RegexField(r"^[a-z0-9][a-z0-9_-]{0,49}\Z")
    name = serializers.CharField(max_length=100)
    tier = serializers.IntegerField(min_value=1, max_value=9)
    owner = serializers.SlugField()


class EditService(StrictSerializer):
    name = serializers.CharField(max_length=100, required=False)
    tier = serializers.IntegerField(min_value=1, max_value=9, required=False)


class EnvironmentRow(serializers.ModelSerializer[Environment]):
    """Where a change lands."""

    class Meta:
        model = Environment
        fields = ["id", "slug", "name", "tier", "position", "protected", "version"]


class NewEnvironment(StrictSerializer):
    slug = serializers.RegexField(r"^[a-z0-9][a-z0-9_-]{0,49}\Z")
    name = serializers.CharField(max_length=100)
    tier = serializers.IntegerField(min_value=1, max_value=9)
    position = serializers.IntegerField(min_value=0, max_value=32767)
    protected = serializers.BooleanField(default=True)


class EditEnvironment(StrictSerializer):
    name = serializers.CharField(max_length=100, required=False)
    tier = serializers.IntegerField(min_value=1, max_value=9, required=False)
    position = serializers.IntegerField(min_value=0, max_value=32767, required=False)
    protected = serializers.BooleanField(required=False)
