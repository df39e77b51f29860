"""What lists share: filters from an allow-list, the search grammar as `?q=`, and numbers to go on from."""

from typing import Any, TypeVar

from django.db.models import Model, QuerySet
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request

from audit.refusals import Invalid
from orchestration.search import searched

Row = TypeVar("Row", bound=Model)
PAGING = {"cursor", "limit", "q", "format"}
MAX_VALUE = 200
MAX_NUMBER = 2**63 - 1


def parameters(keys: dict[str, str]) -> list[OpenApiParameter]:
    """How a list's filters stand in the API's description."""
    words = "The search grammar of the pages, for instance `is:waiting env:production`."
    return [OpenApiParameter("q", str, description=words), *(OpenApiParameter(key, str) for key in keys)]


def filtered(found: "QuerySet[Row]", request: Request, keys: dict[str, str]) -> "QuerySet[Row]":
    """The rows that the query asks for; Invalid for anything that is not a filter."""
    given: dict[str, Any] = request.query_params.dict()
    for name, value in given.items():
        if name not in PAGING | keys.keys():
            raise _invalid(name, f"{name[:50]!a} is no filter; there are {', '.join(sorted(keys))} and q.")
        if name not in {"cursor", "limit"} and len(value) > MAX_VALUE:
            raise _invalid(name, f"A filter has at most {MAX_VALUE} characters.")
    chosen = {keys[name]: value for name, value in given.items() if name in keys}
    return searched(found.filter(**chosen), given.get("q", ""), keys, request.user)


def after(request: Request) -> int:
    """`?after=` as a number."""
    return number(request, "after", 0)


def number(request: Request, name: str, default: int = 0) -> int:
    """A number of the query; Invalid for anything else."""
    text = request.query_params.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= MAX_NUMBER):
        raise _invalid(name, f"{name} is a number that an answer gave.")
    return int(text)


def _invalid(name: str, words: str) -> Invalid:
    return Invalid(f"Nothing was listed. {words}", errors=[{"pointer": f"/{name[:50]}", "detail": words}])
