"""The API about access reviews: read with any credential that may read reports, decided in a session only."""

from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import UUID

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import access_reviews as reviews
from accounts import once
from accounts.acting import acting
from accounts.models import AccessDecision, AccessReview
from audit.rest.strict import StrictSerializer


class DecisionRow(serializers.ModelSerializer[AccessDecision]):
    """Who decided what about whom."""

    account = serializers.CharField(source="account.username")
    by = serializers.CharField(source="by.username")

    class Meta:
        model = AccessDecision
        fields = ["account", "decision", "by"]


class AccessReviewRow(serializers.ModelSerializer[AccessReview]):
    """One review of a team."""

    team = serializers.SlugField(source="team.slug")
    decisions = DecisionRow(many=True)

    class Meta:
        model = AccessReview
        fields = ["id", "team", "opened_at", "completed_at", "decisions"]


class NewReview(StrictSerializer):
    """The team to look at."""

    team = serializers.SlugField()


class NewDecision(StrictSerializer):
    """What becomes of one account."""

    account = serializers.CharField(max_length=150)
    decision = serializers.ChoiceField(choices=AccessDecision.Decision.choices)


class AccessReviews(generics.ListAPIView[AccessReview]):
    """The reviews of the teams that one may see, newest first; POST opens one."""

    scopes: ClassVar[dict[str, str]] = {"GET": "reports:read"}
    serializer_class = AccessReviewRow
    ordering = ("-opened_at", "-id")

    def get_queryset(self) -> QuerySet[AccessReview]:
        return _visible(self.request)

    @extend_schema(request=NewReview, responses={201: AccessReviewRow})
    def post(self, request: Request) -> Response:
        """In a session only: a person looks."""
        asked = NewReview(data=request.data)
        asked.is_valid(raise_exception=True)
        by = acting(request)
        team = get_object_or_404(reviews.visible(by.user), slug=asked.validated_data["team"])

        def work(_: None) -> tuple[int, Any]:
            return 201, AccessReviewRow(reviews.begin(team, by=by)).data

        return once.respond(request, work, prepare=lambda: None, at=datetime.now(UTC))


class DecideAccess(APIView):
    """Keep or remove one account of a team under review."""

    @extend_schema(request=NewDecision, responses=DecisionRow)
    def post(self, request: Request, pk: UUID) -> Response:
        asked = NewDecision(data=request.data)
        asked.is_valid(raise_exception=True)
        review = get_object_or_404(_visible(request), pk=pk)
        given = asked.validated_data
        made = reviews.decide(review, given["account"], given["decision"], by=acting(request))
        return Response(DecisionRow(made).data)


class CompleteReview(APIView):
    """End a review: whoever is to be removed leaves the team."""

    @extend_schema(request=None, responses=AccessReviewRow)
    def post(self, request: Request, pk: UUID) -> Response:
        review = get_object_or_404(_visible(request), pk=pk)
        return Response(AccessReviewRow(reviews.complete(review, by=acting(request))).data)


def _visible(request: Request) -> QuerySet[AccessReview]:
    if not getattr(request, "user", None) or not request.user.is_authenticated:
        return AccessReview.objects.none()
    teams = reviews.visible(acting(request).user)
    return AccessReview.objects.filter(team__in=teams).select_related("team")
