"""The API of what a candidate would do: ask it about one input, replay what was decided. Each door authorises,
calls one function and answers; none of them stores a policy, decides or starts anything.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import UUID

from django.db.models import QuerySet
from django.urls import URLPattern, path
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import once
from accounts.acting import acting
from approvals import replays
from approvals.models import Decision, Difference, Replay
from approvals.policy import candidates, preview, replay
from approvals.policy.bundles import Candidate
from approvals.policy.decisions import try_out
from audit.refusals import NotFound
from audit.rest.strict import StrictSerializer

Form = Callable[[Request, Mapping[str, Any]], dict[str, Any]]


def urls(may_see: Callable[[Any, str], bool], seen: replays.Seen, form: Form) -> list[URLPattern]:
    """Who may see which change, and what policy would read of a form, are answers of the floor above."""
    return [
        path("policies/simulate/", Simulate.as_view(may_see=may_see, form=form)),
        path("policies/replay/", Replays.as_view(seen=seen)),
        path("policies/replay/<uuid:key>/", OneReplay.as_view()),
        path("policies/replay/<uuid:key>/cancel/", CancelReplay.as_view()),
        path("policies/replay/<uuid:key>/rows/", ReplayRows.as_view(seen=seen)),
    ]


class CandidateAsked(StrictSerializer):
    """A version or a checked commit by its digest, a branch of the repository, or files; none is what judges now."""

    bundle = serializers.CharField(max_length=71, required=False)
    branch = serializers.CharField(max_length=250, required=False)
    sources = serializers.DictField(child=serializers.CharField(), required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if len(attrs) > 1:
            raise serializers.ValidationError("Give one of bundle, branch and sources.")
        return attrs


class FormAsked(StrictSerializer):
    """What a request names."""

    workflow = serializers.CharField(max_length=50)
    service = serializers.CharField(max_length=50)
    environment = serializers.CharField(max_length=50)
    inputs = serializers.DictField()
    reason = serializers.CharField(max_length=4000, required=False, allow_blank=True)


class Simulation(StrictSerializer):
    """Whom to ask, and about what: a past change, a form, or the whole input of the policy contract."""

    candidate = CandidateAsked(required=False)
    change = serializers.CharField(max_length=30, required=False)
    form = FormAsked(required=False)
    input = serializers.DictField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if len(attrs.keys() & {"change", "form", "input"}) != 1:
            raise serializers.ValidationError("Give one of change, form and input.")
        return attrs


class Simulated(serializers.Serializer[Any]):
    """What the candidate answers, beside what judges now."""

    candidate = serializers.CharField(help_text="its digest")
    kind = serializers.ChoiceField(choices=[one.value for one in replay.Kind])
    now = serializers.DictField(help_text="the answer of the bundle that judges now")
    deny = serializers.ListField(child=serializers.DictField())
    require = serializers.ListField(child=serializers.DictField())
    warn = serializers.ListField(child=serializers.DictField())
    windows = serializers.ListField(child=serializers.DictField())
    obligations = serializers.ListField(child=serializers.DictField())


class NewReplay(StrictSerializer):
    """What to judge again, and by which candidate."""

    candidate = CandidateAsked(required=False)
    days = serializers.ChoiceField(choices=replays.DAYS)


class ReplayRow(serializers.ModelSerializer[Replay]):
    """A replay: how far it is and what it found."""

    judged = serializers.IntegerField()
    differs = serializers.IntegerField()

    class Meta:
        model = Replay
        fields = [
            "id", "name", "digest", "days", "state", "total", "judged", "differs", "kinds", "load", "problem",
            "created_at", "ended_at",
        ]  # fmt: skip


class DifferenceRow(serializers.ModelSerializer[Difference]):
    """A decision that would be otherwise: the answer then, and the candidate's."""

    before = serializers.DictField(source="decision.output")
    decided_at = serializers.DateTimeField(source="decision.decided_at")

    class Meta:
        model = Difference
        fields = ["id", "decision", "subject", "kind", "decided_at", "words", "before", "after", "reason"]


class SameRow(serializers.ModelSerializer[Decision]):
    """A decision that the candidate answers alike, in the shape of one that differs."""

    decision = serializers.UUIDField(source="id")
    subject = serializers.CharField(source="input.change.id")
    kind = serializers.SerializerMethodField()
    before = serializers.DictField(source="output")

    class Meta:
        model = Decision
        fields = ["decision", "subject", "kind", "decided_at", "before"]

    def get_kind(self, row: Decision) -> str:
        return str(replay.Kind.SAME)


class Simulate(APIView):
    """What a candidate would answer, beside what judges now. Stores nothing, decides nothing."""

    scopes: ClassVar[dict[str, str]] = {"POST": "changes:read"}
    may_see: Callable[[Any, str], bool] | None = None  # given in config/urls.py: changes and forms live above
    form: Form | None = None

    @extend_schema(request=Simulation, responses=Simulated)
    def post(self, request: Request) -> Response:
        asked = Simulation(data=request.data)
        asked.is_valid(raise_exception=True)
        facts = self._facts(request, asked.validated_data)
        now = preview(facts)
        candidate = _candidate(asked.validated_data)
        answer = try_out(candidate, facts)
        told = {"candidate": candidate.digest, "kind": replay.compare(now, answer), "now": now}
        return Response({**told, **answer})

    def _facts(self, request: Request, given: Mapping[str, Any]) -> dict[str, Any]:
        if "form" in given and self.form is not None:
            return self.form(request, given["form"])
        if "change" not in given:
            return dict(given["input"])
        key = given["change"].upper()
        last = Decision.objects.filter(input__change__id=key).order_by("-decided_at").first()
        if last is None or self.may_see is None or not self.may_see(request.user, key):
            raise NotFound("There is no such change that you may see; nothing was simulated.")
        return dict(last.input)


class Replays(generics.ListAPIView[Replay]):
    """The replays that one may see, newest first; POST starts one over the changes that one may see."""

    scopes: ClassVar[dict[str, str]] = {"GET": "changes:read", "POST": "changes:read"}
    serializer_class = ReplayRow
    seen: replays.Seen | None = None

    def get_queryset(self) -> QuerySet[Replay]:
        if getattr(self, "swagger_fake_view", False):
            return Replay.objects.none()
        return replays.visible(self.request.user)

    @extend_schema(request=NewReplay, responses={201: ReplayRow})
    def post(self, request: Request) -> Response:
        asked = NewReplay(data=request.data)
        asked.is_valid(raise_exception=True)
        by, given = acting(request), asked.validated_data
        seen = self.seen or (lambda _: [])

        def work(candidate: Candidate) -> tuple[int, Any]:
            return 201, ReplayRow(replays.start(candidate, days=given["days"], seen=seen, by=by)).data

        return once.respond(request, work, prepare=lambda: _candidate(given), at=datetime.now(UTC))


class OneReplay(APIView):
    """One replay."""

    scopes: ClassVar[dict[str, str]] = {"GET": "changes:read"}

    @extend_schema(responses=ReplayRow)
    def get(self, request: Request, key: UUID) -> Response:
        return Response(ReplayRow(replays.get(key, user=request.user)).data)


class CancelReplay(APIView):
    """Stop a replay of one's own; what was judged stays."""

    scopes: ClassVar[dict[str, str]] = {"POST": "changes:read"}

    @extend_schema(request=None, responses=ReplayRow)
    def post(self, request: Request, key: UUID) -> Response:
        return Response(ReplayRow(replays.cancel(key, by=acting(request))).data)


@extend_schema(parameters=[OpenApiParameter("kind", str)])
class ReplayRows(generics.ListAPIView[Difference]):
    """What would be otherwise, of the changes that one may see today; `kind=same` lists what would not."""

    scopes: ClassVar[dict[str, str]] = {"GET": "changes:read"}
    serializer_class = DifferenceRow
    seen: replays.Seen | None = None

    def get_queryset(self) -> QuerySet[Any]:
        if getattr(self, "swagger_fake_view", False):
            return Difference.objects.none()
        found = replays.get(self.kwargs["key"], user=self.request.user)
        looking: dict[str, Any] = {"user": self.request.user, "seen": self.seen or (lambda _: [])}
        kind = self.request.query_params.get("kind", "")
        if kind == replay.Kind.SAME:
            return replays.alike(found, **looking)
        rows = replays.rows(found, **looking)
        return rows.filter(kind=kind) if kind else rows

    def get_serializer_class(self) -> Any:
        same = self.request.query_params.get("kind") == replay.Kind.SAME
        return SameRow if same else DifferenceRow


def _candidate(given: Mapping[str, Any]) -> Candidate:
    asked = given.get("candidate", {})
    if "sources" in asked:
        return candidates.written(asked["sources"])
    return candidates.chosen(asked.get("bundle", ""), branch=asked.get("branch", ""))
