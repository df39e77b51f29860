"""Control tests as they were run, for machines: what was found each time, ask for another; what people say of one."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.urls import URLPattern, path
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from audit.access import require_reader
from audit.controls.catalogue import control
from audit.ledger.entry import Actor
from audit.models import ControlTest
from audit.reports import comments, tested
from audit.rest.strict import StrictSerializer

WhoAsks = Callable[[Request], Actor]
Once = Callable[..., Response]  # as in exports.py


def urls(actor_of: WhoAsks, once: Once) -> list[URLPattern]:
    """Below /api/v1/reports/."""
    return [
        path("tests/", Tests.as_view(actor_of=actor_of, once=once)),
        path("controls/<str:key>/comments/", Comments.as_view(actor_of=actor_of, once=once)),
    ]


class TestRow(serializers.ModelSerializer[ControlTest]):
    """How far it is: `done` of `checkpoint_size` entries were read. `found` is there once `tested_at` is."""

    class Meta:
        model = ControlTest
        fields = ["id", "checkpoint_size", "asked_at", "done", "problem", "tested_at", "found"]


class Nothing(StrictSerializer):
    """Nothing is chosen: all control tests are run over the whole log."""


class ControlComment(serializers.Serializer[Any]):
    """What somebody said; `entry` is its place in the log, as soon as it has one."""

    actor = serializers.CharField()
    at = serializers.DateTimeField()
    text = serializers.CharField(source="said")
    entry = serializers.IntegerField(source="seq", allow_null=True)


class NewComment(StrictSerializer):
    """A question, an answer or a remark."""

    text = serializers.CharField(max_length=comments.LONGEST)


class CommentList(serializers.Serializer[Any]):
    """The oldest first."""

    results = ControlComment(many=True)


class Tests(generics.ListAPIView[ControlTest]):
    """Each time that all control tests were run by a worker, newest first; POST asks for it, or joins one under way."""

    scopes: ClassVar[dict[str, str]] = {"GET": "reports:read", "POST": "reports:read"}
    serializer_class = TestRow
    ordering = "-asked_at"
    queryset = ControlTest.objects.all()
    actor_of: WhoAsks | None = None
    once: Once | None = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        require_reader(request.user)

    def get_queryset(self) -> QuerySet[ControlTest]:
        return ControlTest.objects.all()

    @extend_schema(request=Nothing, responses={201: TestRow})
    def post(self, request: Request) -> Response:
        if self.actor_of is None or self.once is None:
            raise RuntimeError("the door does not know who knocks")
        Nothing(data=request.data).is_valid(raise_exception=True)
        by = self.actor_of(request)

        def work(_: Any) -> tuple[int, Any]:
            return 201, TestRow(tested.ask(by=by)).data

        return self.once(request, work, prepare=lambda: None, at=datetime.now(UTC))


class Comments(APIView):
    """What auditor and owner said about a control test, oldest first; POST says something: people do, no token."""

    scopes: ClassVar[dict[str, str]] = {"GET": "reports:read"}
    actor_of: WhoAsks | None = None
    once: Once | None = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        require_reader(request.user)

    @extend_schema(responses=CommentList)
    def get(self, request: Request, key: str) -> Response:
        return Response({"results": ControlComment(comments.of(control(key)), many=True).data})

    @extend_schema(request=NewComment, responses={201: ControlComment})
    def post(self, request: Request, key: str) -> Response:
        if self.actor_of is None or self.once is None:
            raise RuntimeError("the door does not know who knocks")
        given = NewComment(data=request.data)
        given.is_valid(raise_exception=True)
        by, about = self.actor_of(request), control(key)

        def work(form: dict[str, Any]) -> tuple[int, Any]:
            made = comments.add(about, form["text"], by=by)
            said = next(one for one in comments.of(about) if one.entry == made.pk)
            return 201, ControlComment(said).data

        return self.once(request, work, prepare=lambda: given.validated_data, at=datetime.now(UTC))
