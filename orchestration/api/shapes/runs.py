"""What the API shows and takes about runs, their steps, output and permits. Reads rows, decides nothing."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from audit.rest.strict import StrictSerializer
from orchestration.models import Step, StepAttempt


class AttemptRow(serializers.ModelSerializer[StepAttempt]):
    """One try at a step."""

    class Meta:
        model = StepAttempt
        fields = [
            "number",
            "started_at",
            "ended_at",
            "outcome",
            "reason",
            "exit_code",
            "answer",
            "dropped_bytes",
        ]


class StepRow(serializers.ModelSerializer[Step]):
    """A step of a run as it stands; `exit_code` is that of its last attempt. `omitted`: its own condition was false;
    `skipped`: something before it was wrong. `reason` says which, and what."""

    name = serializers.CharField(source="key")
    when = serializers.CharField(source="spec.when", default="")
    continue_on_error = serializers.BooleanField(source="spec.continue_on_error", default=False)
    phase = serializers.CharField(source="spec.phase", default="apply")
    matrix = serializers.DictField(source="spec.matrix", allow_null=True, default=None)
    exit_code = serializers.SerializerMethodField()
    attempts = AttemptRow(many=True)

    class Meta:
        model = Step
        fields = [
            "id", "name", "title", "uses", "needs", "when", "matrix", "phase", "continue_on_error", "effect", "state",
            "reason", "attempt", "max_attempts", "held_reason", "started_at", "ended_at", "exit_code",
            "outputs", "attempts",
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
    lock = serializers.CharField()
    purpose = serializers.ChoiceField(choices=["apply", "plan"])
    digest = serializers.CharField()
    version = serializers.IntegerField()
    event_seq = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)
    cancel_requested_at = serializers.DateTimeField(allow_null=True)
    paused_at = serializers.DateTimeField(allow_null=True)
    deadline_at = serializers.DateTimeField(allow_null=True)
    reason = serializers.CharField()
    permit = serializers.UUIDField(source="permit_id", allow_null=True)


class Stand(serializers.Serializer[Any]):
    """Who holds the lock of a run, if one may see it, and how many wait for it: before this one, and in all."""

    holder = serializers.CharField(allow_null=True)
    waits = serializers.BooleanField()
    ahead = serializers.IntegerField()
    waiting = serializers.IntegerField()


class RunDetail(RunRow):
    """A run with its place in the queue for its lock, and its steps."""

    queue = Stand()
    steps = StepRow(many=True)


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
    decision = serializers.ChoiceField(choices=["done", "retry", "fail", "check"])
    reason = serializers.CharField(max_length=2000)


class Answer(StrictSerializer):
    """What a person says about a step that they were asked to do; `outputs` as the step names them."""

    decision = serializers.ChoiceField(choices=["done", "failed"])
    note = serializers.CharField(max_length=2000, required=False, allow_blank=True, default="")
    outputs = serializers.DictField(required=False, default=dict)


class PermitRow(serializers.Serializer[Any]):
    """The signed record of why a run may run; `authentic` says whether our key signed exactly this."""

    id = serializers.UUIDField()
    document = serializers.DictField()
    signature = serializers.CharField()
    key_id = serializers.CharField()
    issued_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    authentic = serializers.BooleanField()
