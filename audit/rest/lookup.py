"""One address, two names: a UUID or the short key that people say (`CHG-2041`, `payments-api`)."""

import re
from typing import TypeVar
from uuid import UUID

from django.db.models import Model, QuerySet

from audit.refusals import NotFound

Row = TypeVar("Row", bound=Model)
MAX_NUMBER = 2**63 - 1


def by_key(queryset: QuerySet[Row], key: str, *, field: str = "slug", prefix: str = "") -> Row:
    """The row of this id or key; NotFound for every other spelling. With `prefix` the key is `<prefix>-<number>`."""
    where = _where(key, field, prefix)
    row = queryset.filter(**where).first() if where else None
    if row is None:
        raise NotFound("There is nothing here, or it is not yours to see.")
    return row


def _where(key: str, field: str, prefix: str) -> dict[str, UUID | str | int] | None:
    if re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", key):
        return {"pk": UUID(key)}
    if not prefix:
        return {field: key}
    found = re.fullmatch(rf"{prefix}-([1-9][0-9]{{0,18}})", key, re.ASCII)
    return {field: int(found[1])} if found and int(found[1]) <= MAX_NUMBER else None
