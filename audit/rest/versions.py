"""ETag and If-Match: an edit names the version that it was made from."""

from typing import Any

from rest_framework.request import Request

from audit.models import Coupled
from audit.refusals import Refusal, StaleVersion


class MatchMissing(Refusal):
    """An edit without the version that it was made from."""

    code = "if_match_missing"
    status = 428


def etag(row: Coupled) -> str:
    """The row's version as an entity tag."""
    return f'"{row.version}"'


def versioned(row: Coupled) -> dict[str, Any]:
    """The headers of an answer that shows this row."""
    return {"ETag": etag(row)}


def require_match(request: Request, row: Coupled) -> None:
    """MatchMissing without `If-Match`, StaleVersion when the row has moved on. The UPDATE is guarded all the same."""
    given = request.headers.get("If-Match", "")
    if not given:
        raise MatchMissing("Nothing was changed. Send If-Match with the ETag of the version that you edited.")
    if given.strip() != etag(row):
        raise StaleVersion("It was changed meanwhile; nothing was done. Reload it and edit again.")
