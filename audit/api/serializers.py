"""What the API tells of an entry. Hashes are base64, as in proofs."""

from base64 import b64encode
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from audit.ledger import openings
from audit.models import Leaf
from audit.pages.told import sealed


def base64(data: bytes | memoryview) -> str:
    """The usual base64, in one line."""
    return b64encode(bytes(data)).decode()


class EntryRow(serializers.ModelSerializer[Leaf]):
    """One entry of a list."""

    id = serializers.UUIDField(source="entry.id")
    actor_name = serializers.CharField(allow_null=True, help_text="Of the time when it happened.")
    actor_name_now = serializers.CharField(allow_null=True)
    time = serializers.DateTimeField(source="occurred_at")
    stream = serializers.UUIDField(source="entry.stream")
    stream_version = serializers.IntegerField(source="entry.stream_version")
    leaf_hash = serializers.SerializerMethodField()

    class Meta:
        model = Leaf
        fields: tuple[str, ...] = (
            "index", "id", "kind", "subject", "actor", "actor_name", "actor_name_now", "time", "stream",
            "stream_version", "leaf_hash",
        )  # fmt: skip

    def get_leaf_hash(self, leaf: Leaf) -> str:
        return base64(leaf.leaf_hash)


class EntryDetail(EntryRow):
    """One entry with what it says (`entry`) and the exact bytes that were hashed (`body`)."""

    entry = serializers.SerializerMethodField()
    texts = serializers.SerializerMethodField(
        help_text="The texts to which it only commits, by their paths; null where one was erased."
    )
    body = serializers.SerializerMethodField()

    class Meta(EntryRow.Meta):
        fields = (*EntryRow.Meta.fields, "entry", "texts", "body")

    @extend_schema_field(serializers.DictField())
    def get_entry(self, leaf: Leaf) -> dict[str, Any]:
        return sealed(leaf)

    @extend_schema_field(serializers.DictField())
    def get_texts(self, leaf: Leaf) -> dict[str, Any]:
        found = openings.texts([leaf.entry_id]).get(leaf.entry_id, {})
        return {path: found.get(path) for path in sealed(leaf).get("sd", {})}

    def get_body(self, leaf: Leaf) -> str:
        return base64(leaf.entry.body)


class Growth(serializers.Serializer[dict[str, Any]]):
    """A consistency proof between two checkpoints, with both notes."""

    to = serializers.IntegerField()
    hashes = serializers.ListField(child=serializers.CharField())
    old = serializers.CharField()
    new = serializers.CharField()

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """`from` is a word of Python, so it cannot be declared above."""
        return {"from": serializers.IntegerField(), **super().get_fields()}
