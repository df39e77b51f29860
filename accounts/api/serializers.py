"""What the API shows and takes about people. Explicit fields only; unknown ones are refused."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.models import Membership, Team, Token, User
from accounts.tokens import SCOPES
from audit.rest.strict import StrictSerializer


class TeamName(serializers.ModelSerializer[Team]):
    """A team in few words."""

    class Meta:
        model = Team
        fields = ["id", "slug", "name"]


class Member(serializers.ModelSerializer[Membership]):
    """Who is in a team, and since when."""

    id = serializers.UUIDField(source="user.id")
    username = serializers.CharField(source="user.username")
    name = serializers.CharField(source="user.name")

    class Meta:
        model = Membership
        fields = ["id", "username", "name", "lead", "since"]


class TeamRow(serializers.ModelSerializer[Team]):
    """A team and who is in it now."""

    members = Member(many=True, source="open_memberships")

    class Meta:
        model = Team
        fields = ["id", "slug", "name", "version", "members"]


class Account(serializers.ModelSerializer[User]):
    """Oneself."""

    teams = serializers.SerializerMethodField()

    class Meta:
        model = User
        fields = ["id", "username", "name", "title", "email", "kind", "is_superuser", "teams"]

    @extend_schema_field(TeamName(many=True))
    def get_teams(self, user: User) -> list[dict[str, Any]]:
        return list(TeamName(Team.objects.of(user).order_by("name"), many=True).data)


class Machine(serializers.ModelSerializer[User]):
    """A service account and the scopes that its tokens may have at most."""

    scopes = serializers.ListField(child=serializers.CharField(), source="ceiling")
    person = serializers.CharField(source="person.name")

    class Meta:
        model = User
        fields = ["id", "username", "name", "person", "scopes"]


class Narrowing(StrictSerializer):
    """The scopes to take away."""

    scopes = serializers.ListField(
        child=serializers.ChoiceField(choices=SCOPES), allow_empty=False, max_length=len(SCOPES)
    )


class TokenRow(serializers.ModelSerializer[Token]):
    """A token without its value."""

    account = serializers.CharField(source="user.username")

    class Meta:
        model = Token
        fields = [
            "id", "account", "name", "prefix", "scopes", "created_at", "expires_at", "revoked_at", "last_used_at",
        ]  # fmt: skip


class NewToken(StrictSerializer):
    """What a new token needs."""

    name = serializers.CharField(max_length=100)
    scopes = serializers.ListField(
        child=serializers.ChoiceField(choices=SCOPES), allow_empty=False, max_length=len(SCOPES)
    )
    expires_at = serializers.DateTimeField()
    account = serializers.CharField(max_length=150, required=False)


class IssuedToken(TokenRow):
    """A new token; `value` is there once and null in every replay."""

    value = serializers.CharField(allow_null=True)

    class Meta(TokenRow.Meta):
        fields = [*TokenRow.Meta.fields, "value"]
