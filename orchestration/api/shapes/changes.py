"""What the API shows and takes about changes, their chains and sign-offs. Reads rows, decides nothing."""

from typing import Any

from rest_framework import serializers

from approvals.models import SignOff, Stage
from approvals.passkeys import Assertion
from audit.rest.strict import StrictSerializer
from orchestration import notices
from orchestration.definitions.repeats import Repeat
from orchestration.models import Comment

MAX_TEXT = 10_000


class Who(serializers.Serializer[Any]):
    """A person or a service account in few words."""

    id = serializers.UUIDField(source="pk")
    username = serializers.CharField()
    name = serializers.CharField()


class ChangeRow(serializers.Serializer[Any]):
    """A change in few words."""

    id = serializers.UUIDField(source="pk")
    key = serializers.CharField()
    title = serializers.CharField()
    state = serializers.CharField()
    kind = serializers.CharField()
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
    on_behalf_of = Who(source="delegation.delegator", allow_null=True, default=None)
    digest = serializers.CharField(source="subject")

    class Meta:
        model = SignOff
        fields = [
            "id", "stage", "person", "on_behalf_of", "decision", "digest", "chain_digest", "comment", "condition",
            "signature", "given_at", "withdrawn_at",
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
    distinct = serializers.ChoiceField(choices=Stage.Distinct.values)
    due_at = serializers.DateTimeField(allow_null=True)
    escalate_to = serializers.ListField(child=serializers.CharField())
    reviewing = serializers.ListField(child=serializers.DictField())
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


class Repeats(StrictSerializer):
    """How a change comes back: `not_before` and `not_after` are then the two ends of its first time."""

    zone = serializers.CharField(max_length=64, help_text="of the clock on the wall, like Europe/Zurich")
    rule = serializers.CharField(max_length=200, help_text="an RRULE that ends: FREQ=WEEKLY;COUNT=4")

    def validate(self, attrs: Any) -> Any:
        return Repeat(**attrs)


class PlanRow(serializers.Serializer[Any]):
    """The newest plan of a change: where its run is, and what came of it."""

    number = serializers.IntegerField()
    again = serializers.BooleanField()
    digest = serializers.CharField()
    run = serializers.CharField(source="run.key")
    state = serializers.CharField(source="run.state")
    outcome = serializers.CharField()
    why = serializers.CharField()
    created_at = serializers.DateTimeField()


class ArtifactRow(serializers.Serializer[Any]):
    """A file that a plan step left; `intact` says whether it still is what is signed."""

    step = serializers.CharField()
    name = serializers.CharField()
    digest = serializers.CharField()
    bytes = serializers.IntegerField(source="size")
    intact = serializers.BooleanField()


class PlanDetail(serializers.Serializer[Any]):
    """A plan with what it found: the riskiest first, then the files."""

    plan = PlanRow()
    changes = serializers.ListField(child=serializers.DictField(), source="items")
    left_out = serializers.IntegerField()
    steps_without_summary = serializers.ListField(child=serializers.CharField())
    artifacts = ArtifactRow(many=True)


class ChangeDetail(ChangeRow):
    """A change, whole. While its plan steps look it is a draft, without revision and chain."""

    reason = serializers.CharField()
    incident = serializers.CharField(allow_null=True)
    inputs = serializers.DictField()
    not_before = serializers.DateTimeField(allow_null=True)
    not_after = serializers.DateTimeField(allow_null=True)
    repeats = Repeats(allow_null=True)
    workflow_version = serializers.IntegerField()
    workflow_digest = serializers.CharField()
    steps = serializers.ListField(child=serializers.DictField())
    secrets = serializers.ListField(child=serializers.DictField())
    chain = ChainRow(allow_null=True)
    policy_decision = Judged(allow_null=True)
    plan = PlanRow(allow_null=True)
    run = serializers.CharField(allow_null=True)
    rolls_back = serializers.CharField(source="undoes", allow_null=True)
    rolled_back_by = serializers.ListField(child=serializers.CharField(), source="undone_by")


class Request(StrictSerializer):
    """What a change needs."""

    workflow = serializers.CharField(max_length=50)
    service = serializers.CharField(max_length=50)
    environment = serializers.CharField(max_length=50)
    inputs = serializers.DictField(required=False, default=dict)
    reason = serializers.CharField(max_length=MAX_TEXT)
    not_before = serializers.DateTimeField(required=False, allow_null=True, default=None)
    not_after = serializers.DateTimeField(required=False, allow_null=True, default=None)
    repeats = Repeats(required=False, allow_null=True, default=None)


class BreakGlass(StrictSerializer):
    """What an emergency needs: no window, for it starts as soon as two people agree."""

    workflow = serializers.CharField(max_length=50)
    service = serializers.CharField(max_length=50)
    environment = serializers.CharField(max_length=50)
    inputs = serializers.DictField(required=False, default=dict)
    reason = serializers.CharField(max_length=MAX_TEXT)
    incident = serializers.CharField(max_length=MAX_TEXT)


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
    steps = serializers.ListField(
        child=serializers.DictField(),
        help_text="what would run, each matrix step by step; `omitted` is known already",
    )
    digest_preview = serializers.CharField()


class Edit(StrictSerializer):
    """What a new revision may alter; what is left out stays."""

    inputs = serializers.DictField(required=False)
    reason = serializers.CharField(max_length=MAX_TEXT, required=False)
    not_before = serializers.DateTimeField(required=False, allow_null=True)
    not_after = serializers.DateTimeField(required=False, allow_null=True)
    repeats = Repeats(required=False, allow_null=True)


class PasskeyAssertion(StrictSerializer):
    """What navigator.credentials.get() gave, each part in base64url."""

    credential_id = serializers.CharField(max_length=1400)
    authenticator_data = serializers.CharField(max_length=4000)
    client_data = serializers.CharField(max_length=4000)
    signature = serializers.CharField(max_length=4000)

    def validate(self, attrs: Any) -> Any:
        return Assertion(**attrs)


class ToSign(StrictSerializer):
    """A decision that is about to be signed with a passkey."""

    stage = serializers.UUIDField()
    decision = serializers.ChoiceField(choices=SignOff.Kind.values)
    digest = serializers.CharField(max_length=71)
    chain_digest = serializers.CharField(max_length=71)
    condition = serializers.CharField(max_length=MAX_TEXT, required=False, allow_blank=True, default="")


class Challenge(serializers.Serializer[Any]):
    """What navigator.credentials.get() is to be told; `statement` is exactly what `challenge` is the hash of."""

    challenge = serializers.CharField()
    rp_id = serializers.CharField()
    credentials = serializers.ListField(child=serializers.CharField())
    statement = serializers.DictField()


class Decide(StrictSerializer):
    """One decision on one stage, naming what the person saw."""

    stage = serializers.UUIDField()
    decision = serializers.ChoiceField(choices=SignOff.Kind.values)
    digest = serializers.CharField(max_length=71)
    chain_digest = serializers.CharField(max_length=71)
    comment = serializers.CharField(max_length=MAX_TEXT, required=False, allow_blank=True, default="")
    condition = serializers.CharField(max_length=MAX_TEXT, required=False, allow_blank=True, default="")
    passkey = PasskeyAssertion(required=False, allow_null=True, default=None)


class Decided(serializers.Serializer[Any]):
    """What the sign-offs amount to now."""

    verdict = serializers.CharField()
    state = serializers.CharField()
    run = serializers.CharField(allow_null=True)


class Rollback(StrictSerializer):
    """Why; all else comes from what was signed."""

    reason = serializers.CharField(max_length=MAX_TEXT)


class Remark(StrictSerializer):
    text = serializers.CharField(max_length=MAX_TEXT)


class CommentRow(serializers.Serializer[Any]):
    """A remark, a question or an answer; it decides nothing."""

    id = serializers.UUIDField()
    author = Who()
    kind = serializers.ChoiceField(choices=Comment.Kind.values)
    answers = serializers.UUIDField(source="answers_id", allow_null=True)
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


class NoticeRow(serializers.Serializer[Any]):
    """One thing that waits for this person besides a decision; `url` is its page. Not all is about a change."""

    kind = serializers.ChoiceField(choices=sorted(notices.WORDS))
    change = serializers.CharField(source="change.key", allow_null=True, default=None)
    title = serializers.CharField()
    url = serializers.CharField()
    text = serializers.CharField()
    who = serializers.CharField()
    at = serializers.DateTimeField()


class AskedStepRow(serializers.Serializer[Any]):
    """A step that this person is asked to do; it is answered at its run."""

    run = serializers.CharField(source="run.key")
    change = serializers.CharField(source="run.change.key")
    step = serializers.CharField(source="key")
    title = serializers.CharField()
    service = serializers.CharField(source="run.change.service.slug")
    environment = serializers.CharField(source="run.change.environment.slug")
    since = serializers.DateTimeField(source="started_at")


class Inbox(serializers.Serializer[Any]):
    """What waits for this person: to decide, to edit, to answer, to do."""

    waiting = ChangeRow(many=True)
    sent_back = ChangeRow(many=True)
    unknown = ChangeRow(many=True)
    steps = AskedStepRow(many=True)
    notices = NoticeRow(many=True)
