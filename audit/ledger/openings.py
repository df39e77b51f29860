"""The texts behind the commitments of entries: read here, erased here, and the act of erasing is an entry.

Of what was erased the entry, its leaf and every proof stay as they were. It must never decide whether something may
be erased: that is for the floors above, and for the people whom they ask.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.apps import apps
from django.db import models
from django.db.models import F
from django.db.models.functions import Collate

from audit.canonical import Json, parse
from audit.ledger.entry import Actor
from audit.ledger.personal import ERASED, Opened, filled
from audit.ledger.record import record
from audit.models import Coupled, Entry, Opening
from audit.refusals import Refusal, StaleVersion


class NothingToErase(Refusal):
    """No text of this is left, or there never was one."""

    code = "nothing_to_erase"


@dataclass(frozen=True)
class Erasure:
    """Why something is erased: on which basis, who asked for it, who agreed. Ids alone."""

    basis: str
    change: str
    asked_by: str
    agreed: list[str]


def texts(entries: Iterable[UUID]) -> dict[UUID, dict[str, str]]:
    """What was typed and is still there, by entry and path."""
    found: dict[UUID, dict[str, str]] = {}
    for entry, path, value in Opening.objects.filter(entry__in=list(entries)).values_list(
        "entry", "path", "value"
    ):
        found.setdefault(entry, {})[path] = value
    return found


def data(entry: Entry) -> dict[str, Any]:
    """The data of one entry with the texts that are still there."""
    return datas([entry])[entry.pk]


def datas(entries: Iterable[Entry]) -> dict[UUID, dict[str, Any]]:
    """The same of several, in one query. NotCanonical when the bytes of one cannot be read."""
    said = {entry.pk: parse(bytes(entry.body)) for entry in entries}
    found = texts(key for key, one in said.items() if "sd" in one)
    return {key: filled(one, found.get(key, {})) for key, one in said.items()}


def lines(end: int, *, first: int = 0) -> Iterator[tuple[int, Opened]]:
    """Every opening of these entries that is left, in the order of the log."""
    rows = Opening.objects.filter(entry__leaf__index__gte=first, entry__leaf__index__lt=end)
    in_bytes = Collate("path", "C")  # as the verifier sorts
    told = rows.order_by("entry__leaf__index", in_bytes).values_list(
        "entry__leaf__index", "path", "salt", "value"
    )
    for index, path, salt, value in told.iterator(1000):
        yield index, Opened(path, bytes(salt), value)


def row_of(stream: UUID) -> Coupled | None:
    """The governed row that keeps a copy of what its entries commit to."""
    keeping = (model for model in apps.get_models() if issubclass(model, Coupled) and model.erasable)
    found = (model._default_manager.filter(pk=stream).first() for model in keeping)
    return next((one for one in found if one is not None), None)


def erase(
    stream: UUID, why: Erasure, *, subject: str, by: Actor, columns: Mapping[str, Any] | None = None
) -> Entry:
    """Erase every text of this stream, and the copies in its row; in the caller's transaction.

    `columns` says what stands in the row afterwards, where that is not `ERASED`.
    """
    gone = Opening.objects.filter(entry__stream=stream).order_by("entry", "path")
    paths: list[Json] = [f"{entry}/{path}" for entry, path in gone.values_list("entry", "path")]
    row = row_of(stream)
    if not paths and columns is None:
        raise NothingToErase("Nothing was erased: no text of this is left.")
    gone.delete()
    if row is not None:
        _blank(row, _blanks(row) if columns is None else columns)
    return record(
        "privacy.erased", of=row, subject=subject, actor=by, erased=paths, basis=why.basis, change=why.change,
        asked_by=why.asked_by, agreed=list(why.agreed),
    )  # fmt: skip


def _blanks(row: Coupled) -> dict[str, Any]:
    """A text says that it was erased, a salt is gone; what was empty stays so."""
    fields = {name: row._meta.get_field(name) for name in row.erasable}
    return {
        name: None if isinstance(field, models.BinaryField) else ERASED
        for name, field in fields.items()
        if getattr(row, name)
    }


def _blank(row: Coupled, columns: Mapping[str, Any]) -> None:
    seen = type(row)._default_manager.filter(pk=row.pk, version=row.version)
    if not seen.update(**columns, version=F("version") + 1):
        raise StaleVersion("It was changed meanwhile; nothing was erased. Try again.")
    row.refresh_from_db()
