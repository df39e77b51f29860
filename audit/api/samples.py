"""Samples for machines: ask for one, draw it once its root stands, mark each item, take its proof."""

from typing import Any, ClassVar
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponse
from django.urls import URLPattern, path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from audit.api.door import Door, Once, WhoAsks
from audit.models import Sample
from audit.reports import samples
from audit.rest.strict import StrictSerializer

HERE = "/api/v1/reports/samples"
READ: dict[str, str] = {"GET": "reports:read", "POST": "reports:read"}


def urls(actor_of: WhoAsks, once: Once) -> list[URLPattern]:
    """Below /api/v1/reports/."""
    return [
        path("samples/", Samples.as_view(actor_of=actor_of, once=once)),
        path("samples/<uuid:key>/", OneSample.as_view()),
        path("samples/<uuid:key>/draw/", DrawSample.as_view(actor_of=actor_of)),
        path("samples/<uuid:key>/mark/", MarkItem.as_view(actor_of=actor_of)),
        path("samples/<uuid:key>/items/<int:place>/proof", ItemProof.as_view()),
    ]


# Written as data: `from` cannot be an attribute of a serializer's class.
class NewSample(StrictSerializer):
    """Of which control test, how many items, and a nonce of one's own, or only its SHA-256 until the draw."""

    control = serializers.CharField(max_length=16)
    size = serializers.IntegerField(min_value=1, max_value=samples.MOST)
    nonce = serializers.CharField(max_length=samples.LONGEST, required=False, trim_whitespace=False)
    commitment = serializers.CharField(
        max_length=64, required=False, help_text="SHA-256 of the nonce, as hex"
    )
    to = serializers.CharField(max_length=40, required=False, allow_blank=True)
    environment = serializers.CharField(max_length=100, required=False, allow_blank=True)

    def get_fields(self) -> dict[str, Any]:
        since = serializers.CharField(max_length=40, required=False, allow_blank=True)
        return {**super().get_fields(), "from": since}


class Draw(StrictSerializer):
    """The nonce, where only its SHA-256 was told before."""

    nonce = serializers.CharField(max_length=samples.LONGEST, required=False, trim_whitespace=False)


class Mark(StrictSerializer):
    """What whoever drew the sample found when looking at an item."""

    place = serializers.IntegerField(min_value=0)
    mark = serializers.ChoiceField(choices=list(samples.MARKS))


class SampleRow(serializers.ModelSerializer[Sample]):
    """A sample. `ready` once a checkpoint covers the request, so that it can be drawn."""

    nonce = serializers.SerializerMethodField(help_text="once it is drawn")
    ready = serializers.SerializerMethodField()

    class Meta:
        model = Sample
        fields: tuple[str, ...] = (
            "id", "control", "asked", "wanted", "commitment", "actor", "created_at", "ready", "drawn_at", "nonce",
            "checkpoint_size", "seed", "population", "places", "marks",
        )  # fmt: skip

    def get_nonce(self, one: Sample) -> str | None:
        return one.nonce if one.drawn_at else None

    def get_ready(self, one: Sample) -> bool:
        return samples.sealed_by(one) is not None


class SampledItem(serializers.Serializer[Any]):
    """An item that was drawn: its place in the population, its evidence as the control test has it, its proof."""

    place = serializers.IntegerField()
    mark = serializers.CharField(allow_null=True)
    evidence = serializers.DictField()
    proof = serializers.CharField()


class SampleDetail(SampleRow):
    """The same with the items, once it is drawn."""

    items = serializers.SerializerMethodField()

    class Meta(SampleRow.Meta):
        fields = (*SampleRow.Meta.fields, "items")

    @extend_schema_field(SampledItem(many=True))
    def get_items(self, one: Sample) -> list[dict[str, Any]]:
        return [
            {
                "place": place, "mark": one.marks.get(str(place)), "evidence": row,
                "proof": f"{HERE}/{one.pk}/items/{place}/proof",
            }
            for place, row in samples.rows(one)
        ]  # fmt: skip


class Samples(Door, generics.ListAPIView[Sample]):
    """Every sample, newest first; POST asks for one, which fixes its nonce."""

    scopes: ClassVar[dict[str, str]] = READ
    serializer_class = SampleRow

    def get_queryset(self) -> QuerySet[Sample]:
        return samples.visible(self.request.user)

    @extend_schema(request=NewSample, responses={201: SampleRow})
    def post(self, request: Request) -> Response:
        by = self.by()
        return self.create(
            NewSample(data=request.data),
            lambda form: SampleRow(samples.ask(form["control"], form, by=by)).data,
        )


class OneSample(Door):
    """One sample, with its items once it is drawn."""

    scopes: ClassVar[dict[str, str]] = READ

    @extend_schema(responses=SampleDetail)
    def get(self, request: Request, key: UUID) -> Response:
        return Response(SampleDetail(samples.get(key, user=request.user)).data)


class DrawSample(Door):
    """Draw it, once; the nonce is told here where only its SHA-256 was fixed. By whoever asked for it."""

    scopes: ClassVar[dict[str, str]] = READ

    @extend_schema(request=Draw, responses=SampleDetail)
    def post(self, request: Request, key: UUID) -> Response:
        given = Draw(data=request.data)
        given.is_valid(raise_exception=True)
        found = samples.get(key, user=request.user)
        drawn = samples.draw(found, given.validated_data.get("nonce", ""), by=self.by())
        return Response(SampleDetail(drawn).data)


class MarkItem(Door):
    """Say what one found about an item; each mark is an entry. By whoever asked for the sample."""

    scopes: ClassVar[dict[str, str]] = READ

    @extend_schema(request=Mark, responses=SampleRow)
    def post(self, request: Request, key: UUID) -> Response:
        given = Mark(data=request.data)
        given.is_valid(raise_exception=True)
        found = samples.get(key, user=request.user)
        samples.mark(found, str(given.validated_data["place"]), given.validated_data["mark"], by=self.by())
        return Response(SampleRow(samples.get(key, user=request.user)).data)


class ItemProof(Door):
    """That the entry of an item is in the log, as C2SP tlog-proof, under the checkpoint of the draw."""

    scopes: ClassVar[dict[str, str]] = READ

    @extend_schema(responses={(200, "text/plain"): OpenApiTypes.STR})
    def get(self, request: Request, key: UUID, place: int) -> HttpResponse:
        _, text = samples.proof(samples.get(key, user=request.user), place)
        return HttpResponse(text, content_type="text/plain; charset=utf-8")
