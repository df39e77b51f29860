"""The doors of the log for machines: entries, proofs, growth. Each asks who reads, then answers."""

from typing import Any, ClassVar

from django.http import HttpResponse, StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from audit import search
from audit.api import door
from audit.api.serializers import EntryDetail, EntryRow, Growth, base64
from audit.ledger import proofs
from audit.models import Checkpoint, Leaf
from audit.names import Names
from audit.refusals import Invalid, NotFound
from audit.reports import bundle, population
from audit.rest.pages import CursorPages
from audit.rest.streamed import attachment
from audit.rest.strict import StrictSerializer
from audit.search.grammar import MAX_LENGTH

TERMS = (
    "type",
    "outcome",
    "actor",
    "change",
    "subject",
    "stream",
    "index",
    "after",
    "before",
    "kind",
    "from",
    "to",
)


class Door(door.Door):
    """A token needs `audit:read`."""

    scopes: ClassVar[dict[str, str]] = {"GET": "audit:read"}


@extend_schema(
    parameters=[
        OpenApiParameter("q", str, description='`type:sign_off.* actor:noor after:2026-09-01 "free words"`'),
        *(OpenApiParameter(name, str, description=f"The same as `{name}:` in q.") for name in TERMS),
    ]
)
class Entries(Door, generics.ListAPIView[Leaf]):
    """Entries with a place in the log, newest first. A page that has a `next` may hold fewer than `limit`."""

    serializer_class = EntryRow

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        given = request.query_params
        terms = search.parse(given.get("q", ""))
        terms += [_term(name, given[name]) for name in TERMS if given.get(name)]
        pages = CursorPages()
        found = search.page(terms, size=pages.get_page_size(request), before=pages.position(request))
        rows = EntryRow(_named(found.rows), many=True).data
        return Response({"next": pages.link(request, found.older), "results": rows})


class OneEntry(Door):
    """One entry: what it says, and the exact bytes that were sealed."""

    @extend_schema(responses=EntryDetail)
    def get(self, request: Request, index: int) -> Response:
        return Response(EntryDetail(leaf_at(index)).data)


class Proof(Door):
    """That the entry is in the log, as C2SP tlog-proof."""

    @extend_schema(responses={(200, "text/plain"): OpenApiTypes.STR})
    def get(self, request: Request, index: int) -> HttpResponse:
        text = proofs.of_entry(leaf_at(index).entry).text()
        return HttpResponse(text, content_type="text/plain; charset=utf-8")


class Consistency(Door):
    """That the log of one checkpoint is the beginning of another's: sizes in, hashes out."""

    @extend_schema(
        parameters=[OpenApiParameter(name, int, required=True) for name in ("from", "to")], responses=Growth
    )
    def get(self, request: Request) -> Response:
        old, new = (_signed(request, name) for name in ("from", "to"))
        if not old.size <= new.size:
            raise Invalid(
                "Nothing was proved: `from` is larger than `to`.", errors=_fault("from", "too large")
            )
        hashes = [base64(one) for one in proofs.consistency(old, new)]
        told = {"from": old.size, "to": new.size, "hashes": hashes, "old": old.cosigned, "new": new.cosigned}
        return Response(Growth(told).data)


class WhichEntries(StrictSerializer):
    """A search, as on the page, and the form of the list."""

    q = serializers.CharField(max_length=MAX_LENGTH, required=False, allow_blank=True, default="")
    format = serializers.ChoiceField(choices=list(population.FORMS), default="csv")


class ExportEntries(Door):
    """Every sealed entry that fits a search, with a manifest, as a zip. That it was taken is an entry."""

    scopes: ClassVar[dict[str, str]] = {"POST": "audit:read"}

    @extend_schema(request=WhichEntries, responses={(200, "application/zip"): OpenApiTypes.BINARY})
    def post(self, request: Request) -> StreamingHttpResponse:
        given = WhichEntries(data=request.data)
        given.is_valid(raise_exception=True)
        terms, form = search.parse(given.validated_data["q"]), given.validated_data["format"]
        name, pieces = population.take(search.find(terms), form, query=search.spell(terms), by=self.by())
        return attachment(request, pieces, name=name, content_type="application/zip")


class Bundle(Door):
    """The log, or a period of it, as a zip that is checked without us. That it was taken is an entry."""

    scopes: ClassVar[dict[str, str]] = {"POST": "audit:read"}

    @extend_schema(
        request=None,
        parameters=[
            OpenApiParameter(
                "from", str, description="First day or moment of the period; the whole log without."
            ),
            OpenApiParameter("to", str, description="First day or moment after the period."),
            OpenApiParameter(
                "texts", bool, description="With what people typed, as far as it was not erased."
            ),
        ],
        responses={(200, "application/zip"): OpenApiTypes.BINARY},
    )
    def post(self, request: Request) -> StreamingHttpResponse:
        asked = {name: request.query_params.get(name, "") for name in ("from", "to")}
        texts = request.query_params.get("texts") == "true"
        made = bundle.take(asked, texts=texts, by=self.by())
        return attachment(request, made.pieces(), name=made.name, content_type="application/zip")


def _term(name: str, value: str) -> search.Term:
    try:
        return search.term(name, value)
    except Invalid as fault:
        raise Invalid(str(fault), errors=_fault(name, str(fault))) from fault


def leaf_at(index: int) -> Leaf:
    """The leaf with its entry; NotFound beyond the log."""
    leaf = Leaf.objects.select_related("entry").filter(index=index).first()
    if leaf is None:
        raise NotFound("The log has no entry with this number yet.")
    return _named([leaf])[0]


def _named(leaves: list[Leaf]) -> list[Leaf]:
    """With the names that the serializer reads: of the time when it happened, and of now."""
    names = Names(leaf.actor for leaf in leaves)
    for leaf in leaves:
        leaf.actor_name = names.then(leaf.actor, leaf.occurred_at) or None  # type: ignore[attr-defined]
        leaf.actor_name_now = names.now.get(leaf.actor)  # type: ignore[attr-defined]
    return leaves


def _signed(request: Request, name: str) -> Checkpoint:
    given = request.query_params.get(name, "")
    if not (given.isascii() and given.isdigit() and 0 < int(given[:19]) < 2**63):
        raise Invalid(
            f"Nothing was proved: `{name}` is the size of a checkpoint.", errors=_fault(name, "a size")
        )
    found = Checkpoint.objects.filter(size=int(given[:19])).first()
    if found is None:
        raise NotFound(f"No checkpoint of {given[:19]} entries was signed.")
    return found


def _fault(name: str, detail: str) -> list[dict[str, str]]:
    return [{"pointer": f"/{name}", "detail": detail}]
