"""The OpenAPI document and its page: made from the doors, with what all of them share added once."""

from typing import Any

from csp.decorators import csp_update
from django.contrib.auth.decorators import login_required
from django.urls import URLPattern, path
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from accounts.bearer import ANY
from audit.rest.problem import MEDIA_TYPE

METHODS = {"get", "post", "patch", "put", "delete"}
PROBLEM: dict[str, Any] = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "code", "errors"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What was not done, and what to do."},
        "code": {"type": "string", "description": "Stable and machine-readable."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "detail"],
                "properties": {"pointer": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
    },
}
KEY = {
    "in": "header",
    "name": "Idempotency-Key",
    "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[ -~]+$"},
    "required": True,
    "description": "Names this request, so that a repeat creates nothing new.",
}


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "accounts.bearer.BearerAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "description": "cs_<prefix>_<secret>"}


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "accounts.bearer.CsrfSession"
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "apiKey", "in": "cookie", "name": "session"}


def shared(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Every operation may refuse with a problem; every creating POST names itself."""
    result.setdefault("components", {}).setdefault("schemas", {})["Problem"] = PROBLEM
    refusal = {
        "description": "Refused; nothing was done.",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    for item in result["paths"].values():
        for method in METHODS & item.keys():
            responses = item[method]["responses"]
            for family in ("4XX", "5XX"):
                responses.setdefault(family, refusal)
            if "201" in responses:
                item[method].setdefault("parameters", []).append(KEY)
    return result


class Document(SpectacularAPIView):
    """The OpenAPI 3.1 document."""

    scopes = {"GET": ANY}


_docs = SpectacularSwaggerSplitView.as_view(url_name="schema")
_relaxed = csp_update({"style-src": ["'unsafe-inline'"]})  # the viewer styles itself; scripts stay ours
urlpatterns: list[URLPattern] = [
    path("schema/", Document.as_view(), name="schema"),
    path("docs/", login_required(_relaxed(_docs))),
]
