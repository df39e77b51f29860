"""What the API shows and takes about what is changed. Explicit fields only; unknown ones are refused."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from approvals.models import SignOff
from audit.rest.strict import StrictSerializer
from orchestration.definitions import inputs as forms
from orchestration.definitions.source import MAX_BYTES
from orchestration.models import Environment, Service, Step, StepAttempt, Workflow, WorkflowVersion

MAX_TEXT = 10_000


class Who(serializers.Serializer[Any]):
    """A person or a service account in few words."""

    id = serializers.UUIDField(source="pk")
    username = serializers.CharField()
    name = serializers.CharField()


# --- the catalogue ------------------------------------------------------------------------------------------


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


# --- changes ------------------------------------------------------------------------------------------------


class ChangeRow(serializers.Serializer[Any]):
    """A change in few words."""

    id = serializers.UUIDField(source="pk")
    key = serializers.CharField()
    title = serializers.CharField()
    state = serializers.CharField()
    workflow = serializers.CharField(source="workflow.slug")
    service = serializers.CharField(source="service.slug")
    environment = serializers.CharField(source="environment.slug")
    requester = Who()
    revision = serializers.IntegerField(source="revision.number", allow_null=True, default=None)
    digest = serializers.CharField(source="revision.digest", allow_null=True, default=None)
    version = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class SignOffRow(serializers.ModelSerializer[SignOff]):
    """One person's decision."""

    person = Who(source="user")
    stage = serializers.UUIDField(source="stage_id")
    digest = serializers.CharField(source="subject")

    class Meta:
        model = SignOff
        fields = [
            "id", "stage", "person", "decision", "digest", "chain_digest", "comment", "condition", "signature",
            "given_at", "withdrawn_at",
        ]  # fmt: skip


class Why(serializers.Serializer[Any]):
    """The rule behind a demand, with the values that it read."""

    rule = serializers.CharField()
    message = serializers.CharField()
    read = serializers.ListField(child=serializers.DictField())


class StageRow(serializers.Serializer[Any]):
    """One stage of the chain as it stands."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    order = serializers.IntegerField()
    quorum = serializers.IntegerField()
    given = serializers.IntegerField()
    teams = serializers.ListField(child=serializers.CharField())
    signature = serializers.CharField()
    state = serializers.ChoiceField(choices=["open", "waiting", "complete", "closed"])
    why = Why()
    sign_offs = SignOffRow(many=True)


class ChainRow(serializers.Serializer[Any]):
    """Who must agree."""

    id = serializers.UUIDField()
    digest = serializers.CharField()
    state = serializers.CharField()
    opened_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    stages = StageRow(many=True)


class Judged(serializers.Serializer[Any]):
    """The policy decision behind the chain."""

    id = serializers.UUIDField()
    bundle = serializers.CharField()
    decided_at = serializers.DateTimeField()
    output = serializers.DictField()


class ChangeDetail(ChangeRow):
    """A change, whole."""

    reason = serializers.CharField()
    inputs = serializers.DictField()
    not_before = serializers.DateTimeField(allow_null=True)
    not_after = serializers.DateTimeField(allow_null=True)
    workflow_version = serializers.IntegerField()
    workflow_digest = serializers.CharField()
    steps = serializers.ListField(child=serializers.DictField())
    chain = ChainRow()
    policy_decision = Judged()
    run = serializers.CharField(allow_null=True)


class Request(StrictSerializer):
    """What a change needs."""

    workflow = serializers.CharField(max_length=50)
    service = serializers.CharField(max_length=50)
    environment = serializers.CharField(max_length=50)
    inputs = serializers.DictField(required=False, default=dict)
    reason = serializers.CharField(max_length=MAX_TEXT)
    not_before = serializers.DateTimeField(required=False, allow_null=True, default=None)
    not_after = serializers.DateTimeField(required=False, allow_null=True, default=None)


class Ask(StrictSerializer):
    """What a preview needs."""

    workflow = serializers.CharField(max_length=50)
    service = serializers.CharField(max_length=50)
    environment = serializers.CharField(max_length=50)
    inputs = serializers.DictField(required=False, default=dict)
    reason = serializers.CharField(max_length=MAX_TEXT, required=False, allow_blank=True, default="")


class Previewed(serializers.Serializer[Any]):
    """What policy would demand."""

    allowed = serializers.BooleanField()
    deny = serializers.ListField(child=serializers.DictField())
    require = serializers.ListField(child=serializers.DictField())
    warn = serializers.ListField(child=serializers.DictField())
    digest_preview = serializers.CharField()


class Edit(StrictSerializer):
    """What a new revision may alter; what is left out stays."""

    inputs = serializers.DictField(required=False)
    reason = serializers.CharField(max_length=MAX_TEXT, required=False)
    not_before = serializers.DateTimeField(required=False, allow_null=True)
    not_after = serializers.DateTimeField(required=False, allow_null=True)


class Decide(StrictSerializer):
    """One decision on one stage, naming what the person saw."""

    stage = serializers.UUIDField()
    decision = serializers.ChoiceField(choices=SignOff.Kind.values)
    digest = serializers.CharField(max_length=71)
    chain_digest = serializers.CharField(max_length=71)
    comment = serializers.CharField(max_length=MAX_TEXT, required=False, allow_blank=True, default="")
    condition = serializers.CharField(max_length=MAX_TEXT, required=False, allow_blank=True, default="")


class Decided(serializers.Serializer[Any]):
    """What the sign-offs amount to now."""

    verdict = serializers.CharField()
    state = serializers.CharField()
    run = serializers.CharField(allow_null=True)


class Remark(StrictSerializer):
    text = serializers.CharField(max_length=MAX_TEXT)


class CommentRow(serializers.Serializer[Any]):
    """A remark; it decides nothing."""

    id = serializers.UUIDField()
    author = Who()
    text = serializers.CharField()
    created_at = serializers.DateTimeField()


class TimelineRow(serializers.Serializer[Any]):
    """One act on a change, from the ledger; `index` is its place once it has one."""

    id = serializers.UUIDField(source="pk")
    index = serializers.IntegerField(allow_null=True)
    kind = serializers.CharField()
    subject = serializers.CharField()
    actor = serializers.CharField()
    actor_name = serializers.CharField()
    occurred_at = serializers.DateTimeField()
    data = serializers.DictField()  # type: ignore[assignment]  # the entry's own word


class Inbox(serializers.Serializer[Any]):
    """What waits for this person: to decide, to edit, to answer."""

    waiting = ChangeRow(many=True)
    sent_back = ChangeRow(many=True)
    unknown = ChangeRow(many=True)


# --- runs ---------------------------------------------------------------------------------------------------


class AttemptRow(serializers.ModelSerializer[StepAttempt]):
    """One try at a step."""

    class Meta:
        model = StepAttempt
        fields = ["number", "started_at", "ended_at", "outcome", "reason", "exit_code", "dropped_bytes"]


class StepRow(serializers.ModelSerializer[Step]):
    """A step of a run as it stands; `exit_code` is that of its last attempt."""

    name = serializers.CharField(source="key")
    exit_code = serializers.SerializerMethodField()
    attempts = AttemptRow(many=True)

    class Meta:
        model = Step
        fields = [
            "id", "name", "title", "uses", "needs", "effect", "state", "attempt", "max_attempts", "held_reason",
            "started_at", "ended_at", "exit_code", "outputs", "attempts",
        ]  # fmt: skip

    @extend_schema_field(serializers.IntegerField(allow_null=True))
    def get_exit_code(self, step: Step) -> int | None:
        attempts = list(step.attempts.all())
        return attempts[-1].exit_code if attempts else None


class RunRow(serializers.Serializer[Any]):
    """A run in few words."""

    id = serializers.UUIDField(source="pk")
    key = serializers.CharField()
    change = serializers.CharField(source="change.key")
    title = serializers.CharField(source="change.title")
    service = serializers.CharField(source="change.service.slug")
    environment = serializers.CharField(source="change.environment.slug")
    state = serializers.CharField()
    digest = serializers.CharField()
    version = serializers.IntegerField()
    event_seq = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)
    cancel_requested_at = serializers.DateTimeField(allow_null=True)
    deadline_at = serializers.DateTimeField(allow_null=True)
    permit = serializers.UUIDField(source="permit_id", allow_null=True)


class RunDetail(RunRow):
    """A run with its steps."""

    steps = StepRow(many=True)


class LogLine(serializers.Serializer[Any]):
    """A piece of output."""

    seq = serializers.IntegerField()
    stream = serializers.CharField()
    text = serializers.CharField()
    at = serializers.DateTimeField()


class LogPage(serializers.Serializer[Any]):
    """What a step printed behind a number."""

    results = LogLine(many=True)
    after = serializers.IntegerField()
    more = serializers.BooleanField()
    ended = serializers.BooleanField()


class EventRow(serializers.Serializer[Any]):
    """Something that happened in a run, numbered without a gap."""

    seq = serializers.IntegerField()
    kind = serializers.CharField()
    payload = serializers.DictField()
    at = serializers.DateTimeField()


class EventPage(serializers.Serializer[Any]):
    """Events behind a number; ask again with `after` while there is `more`."""

    results = EventRow(many=True)
    after = serializers.IntegerField()
    more = serializers.BooleanField()


class Stop(StrictSerializer):
    reason = serializers.CharField(max_length=2000, required=False, allow_blank=True, default="")


class Resolve(StrictSerializer):
    """What became of a step whose worker vanished."""

    step = serializers.CharField(max_length=100)
    decision = serializers.ChoiceField(choices=["done", "retry", "fail"])
    reason = serializers.CharField(max_length=2000)


class PermitRow(serializers.Serializer[Any]):
    """The signed record of why a run may run; `authentic` says whether our key signed exactly this."""

    id = serializers.UUIDField()
    document = serializers.DictField()
    signature = serializers.CharField()
    key_id = serializers.CharField()
    issued_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    authentic = serializers.BooleanField()
