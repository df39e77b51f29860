"""What the API shows and takes about policy and freezes. Explicit fields only; unknown ones are refused."""

from typing import Any

from rest_framework import serializers

from approvals import plans
from approvals.models import Bundle, Freeze, Period, Window
from approvals.plans import Plan
from audit.rest.strict import StrictSerializer


class RuleRow(serializers.Serializer[Any]):
    """A rule that answers, as its author described it."""

    id = serializers.CharField()
    title = serializers.CharField()
    description = serializers.CharField()
    answers = serializers.CharField()
    place = serializers.CharField()


class VersionRow(serializers.ModelSerializer[Bundle]):
    """One bundle in few words."""

    class Meta:
        model = Bundle
        fields = ["id", "serial", "digest", "source", "active", "created_at"]


class VersionDetail(VersionRow):
    """One bundle, whole."""

    rules = RuleRow(many=True)
    sources = serializers.DictField(child=serializers.CharField())

    class Meta(VersionRow.Meta):
        fields = [*VersionRow.Meta.fields, "rules", "sources"]


class PolicyRow(serializers.Serializer[Any]):
    """A policy: its name and the bundle that judges now."""

    name = serializers.CharField()
    active = VersionDetail(allow_null=True)


class PeriodRow(serializers.ModelSerializer[Any]):
    """When and where it holds: the first instant and the last of all, and in words what lies between."""

    words = serializers.CharField(read_only=True)
    recurrence = serializers.CharField(source="rule", read_only=True)
    local_start = serializers.SerializerMethodField()
    local_end = serializers.SerializerMethodField()

    class Meta:
        fields = [
            "id", "version", "name", "reason", "environments", "services", "workflows", "starts_at", "ends_at",
            "zone", "local_start", "local_end", "recurrence", "exceptions", "words", "lifted_at",
        ]  # fmt: skip

    def get_local_start(self, row: Period) -> str:
        """The first start as a clock on the wall of the zone reads it."""
        return row.schedule.start.isoformat()

    def get_local_end(self, row: Period) -> str:
        return row.schedule.end.isoformat()


class FreezeRow(PeriodRow):
    """A freeze: where and when nothing may start."""

    class Meta(PeriodRow.Meta):
        model = Freeze


class WindowRow(PeriodRow):
    """A window: where and when alone such changes may start."""

    class Meta(PeriodRow.Meta):
        model = Window


class NewPeriod(StrictSerializer):
    """What a new freeze or window needs: two instants, or local times in a zone, which may come back."""

    name = serializers.CharField(max_length=100)
    reason = serializers.CharField(max_length=2000)
    environments = serializers.ListField(
        child=serializers.CharField(max_length=50), allow_empty=False, max_length=50
    )
    services = serializers.ListField(child=serializers.CharField(max_length=50), max_length=50, default=list)
    workflows = serializers.ListField(child=serializers.CharField(max_length=50), max_length=50, default=list)
    starts_at = serializers.DateTimeField(required=False)
    ends_at = serializers.DateTimeField(required=False)
    zone = serializers.CharField(max_length=64, required=False)
    local_start = serializers.CharField(max_length=19, required=False)
    local_end = serializers.CharField(max_length=19, required=False)
    recurrence = serializers.CharField(max_length=200, required=False, allow_blank=True)
    exceptions = serializers.ListField(child=serializers.DateField(), max_length=100, default=list)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Either both instants, or a zone and both local times."""
        instants, local = {"starts_at", "ends_at"}, {"zone", "local_start", "local_end"}
        given = set(attrs) & (instants | local | {"recurrence"})
        if given != instants and given - {"recurrence"} != local:
            raise serializers.ValidationError(
                "Give starts_at and ends_at, or zone, local_start and local_end, perhaps with a recurrence."
            )
        return attrs

    def plan(self, what: str) -> Plan:
        """What was validated, as a plan."""
        given = self.validated_data
        if "starts_at" in given:
            return Plan(
                name=given["name"],
                reason=given["reason"],
                schedule=plans.once(given["starts_at"], given["ends_at"]),
                environments=tuple(given["environments"]),
                services=tuple(given["services"]),
                workflows=tuple(given["workflows"]),
            )
        lists = ("environments", "services", "workflows", "exceptions")
        joined = {name: " ".join(map(str, given[name])) for name in lists}
        texts = {"starts_at": given["local_start"], "ends_at": given["local_end"]}
        return plans.read({**given, **texts, **joined}, what=what)


class Lift(StrictSerializer):
    """A freeze or window ends before its time, for a reason."""

    lifted = serializers.BooleanField()
    reason = serializers.CharField(max_length=2000)

    def validate_lifted(self, value: bool) -> bool:
        if not value:
            raise serializers.ValidationError("A freeze that was lifted stays lifted; make a new one.")
        return value
