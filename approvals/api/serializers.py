"""What the API shows and takes about policy and freezes. Explicit fields only; unknown ones are refused."""

from typing import Any

from rest_framework import serializers

from approvals.models import Bundle, Freeze
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


class Simulation(StrictSerializer):
    """What to ask: the whole input of the policy contract, version 1."""

    input = serializers.DictField()


class Simulated(serializers.Serializer[Any]):
    """What the active bundle answers."""

    deny = serializers.ListField(child=serializers.DictField())
    require = serializers.ListField(child=serializers.DictField())
    warn = serializers.ListField(child=serializers.DictField())
    windows = serializers.ListField(child=serializers.DictField())
    obligations = serializers.ListField(child=serializers.DictField())


class FreezeRow(serializers.ModelSerializer[Freeze]):
    """A freeze: where and when nothing may start."""

    class Meta:
        model = Freeze
        fields = ["id", "version", "name", "reason", "environments", "starts_at", "ends_at", "lifted_at"]


class NewFreeze(StrictSerializer):
    """What a new freeze needs."""

    name = serializers.CharField(max_length=100)
    reason = serializers.CharField(max_length=2000)
    environments = serializers.ListField(
        child=serializers.CharField(max_length=50), allow_empty=False, max_length=50
    )
    starts_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField()


class Lift(StrictSerializer):
    """A freeze ends before its time, for a reason."""

    lifted = serializers.BooleanField()
    reason = serializers.CharField(max_length=2000)

    def validate_lifted(self, value: bool) -> bool:
        if not value:
            raise serializers.ValidationError("A freeze that was lifted stays lifted; make a new one.")
        return value
