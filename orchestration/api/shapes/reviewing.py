"""What the API shows and takes about what surrounds a decision, obligations first. Reads rows, decides nothing."""

from typing import Any

from rest_framework import serializers

from audit.rest.strict import StrictSerializer
from orchestration.api.shapes.changes import MAX_TEXT, Who


class ObligationRow(serializers.Serializer[Any]):
    """What is still to be done, who said so, and who saw that it was done."""

    id = serializers.UUIDField(source="pk")
    text = serializers.CharField()
    state = serializers.ChoiceField(choices=["open", "closed", "void"])
    set_by = Who(source="sign_off.user", allow_null=True, default=None)
    rule = serializers.CharField()
    opened_at = serializers.DateTimeField()
    closed_by = Who(allow_null=True)
    closed_at = serializers.DateTimeField(allow_null=True)
    note = serializers.CharField()


class Recuse(StrictSerializer):
    """A conflict of interest, in a few words."""

    reason = serializers.CharField(max_length=1000)


class ConclusionRow(serializers.Serializer[Any]):
    """What one reviewer found."""

    person = Who(source="user")
    text = serializers.CharField()
    given_at = serializers.DateTimeField()


class ReviewRow(serializers.Serializer[Any]):
    """The review of an emergency: closed once two people who took no part have concluded."""

    change = serializers.CharField(source="change.key")
    opened_at = serializers.DateTimeField()
    due_at = serializers.DateTimeField()
    closed_at = serializers.DateTimeField(allow_null=True)
    conclusions = ConclusionRow(source="conclusions.all", many=True)


class Conclude(StrictSerializer):
    conclusion = serializers.CharField(max_length=MAX_TEXT)


class Close(StrictSerializer):
    note = serializers.CharField(max_length=MAX_TEXT)


class Claim(StrictSerializer):
    stage = serializers.UUIDField()


class ClaimRow(serializers.Serializer[Any]):
    """Who is reviewing a stage, and until when that is shown."""

    stage = serializers.UUIDField(source="stage_id")
    person = Who(source="user")
    until = serializers.DateTimeField()


class HandOver(StrictSerializer):
    stage = serializers.UUIDField()
    to = serializers.UUIDField()
    note = serializers.CharField(max_length=1000, required=False, allow_blank=True, default="")


class HandOverRow(serializers.Serializer[Any]):
    """Who asked whom to decide a stage."""

    id = serializers.UUIDField(source="pk")
    stage = serializers.UUIDField(source="stage_id")
    giver = Who()
    taker = Who()
    note = serializers.CharField()
    at = serializers.DateTimeField()
