"""Saved searches of the log for machines: the same as on the page, one's own and those that others share."""

from typing import Any, ClassVar
from uuid import UUID

from django.db.models import QuerySet
from django.urls import URLPattern, path
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from audit import views
from audit.api.door import Door, Once, WhoAsks
from audit.models import SavedView
from audit.rest.strict import StrictSerializer
from audit.search.grammar import MAX_LENGTH


def urls(actor_of: WhoAsks, once: Once) -> list[URLPattern]:
    """Below /api/v1/audit/."""
    return [
        path("views/", Views.as_view(actor_of=actor_of, once=once)),
        path("views/<uuid:key>/", OneView.as_view()),
    ]


class NewView(StrictSerializer):
    """A search under a name; the same name again takes the new search."""

    name = serializers.CharField(max_length=views.NAME_LENGTH)
    query = serializers.CharField(max_length=MAX_LENGTH, allow_blank=True)
    shared = serializers.BooleanField(default=False, help_text="with every reader of the log")


class ViewRow(serializers.ModelSerializer[SavedView]):
    """A saved search; `own` where it is one's own, and so can be removed."""

    own = serializers.SerializerMethodField()

    class Meta:
        model = SavedView
        fields: ClassVar[list[str]] = ["id", "name", "query", "shared", "own"]

    def get_own(self, one: SavedView) -> bool:
        return bool(one.owner == self.context["owner"])


class Views(Door, generics.ListAPIView[SavedView]):
    """One's own saved searches and the shared ones, newest first; POST saves one."""

    scopes: ClassVar[dict[str, str]] = {"GET": "audit:read", "POST": "audit:read"}
    serializer_class = ViewRow

    def get_serializer_context(self) -> dict[str, Any]:
        return {**super().get_serializer_context(), "owner": str(self.request.user.pk)}

    def get_queryset(self) -> QuerySet[SavedView]:
        return views.of(str(self.request.user.pk))

    @extend_schema(request=NewView, responses={201: ViewRow})
    def post(self, request: Request) -> Response:
        owner = str(request.user.pk)
        return self.create(
            NewView(data=request.data),
            lambda form: ViewRow(views.save(owner=owner, **form), context={"owner": owner}).data,
        )


class OneView(Door):
    """Remove a saved search of one's own."""

    scopes: ClassVar[dict[str, str]] = {"DELETE": "audit:read"}

    @extend_schema(responses={204: None})
    def delete(self, request: Request, key: UUID) -> Response:
        views.forget(str(key), owner=str(request.user.pk))
        return Response(status=204)
