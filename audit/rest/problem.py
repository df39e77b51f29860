"""A refusal as RFC 9457 `application/problem+json`: one shape for every error of the API."""

from typing import Any

from audit.refusals import Refusal

MEDIA_TYPE = "application/problem+json"


def problem(refusal: Refusal) -> dict[str, Any]:
    """`type`, `title`, `status`, `detail`, `code` and `errors` by JSON pointer, all always there."""
    return {
        "type": f"urn:countersign:problem:{refusal.code}",
        "title": refusal.code.replace("_", " ").capitalize(),
        "status": refusal.status,
        "detail": str(refusal),
        "code": refusal.code,
        "errors": refusal.errors,
    }
