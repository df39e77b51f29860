"""Governed rows as their entries name them: asked for, or told by the very UPDATE that wrote them.

It must never write a row that is not at the version which was read.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection, models
from django.db.models.sql import Query

from audit.ledger import state
from audit.models import Coupled

# Of a row that is called by its table's name: the time, the entry before it, what it says now.
_TOLD = """
    {row}.id, {row}.version, clock_timestamp(),
    (SELECT leaf_hash FROM audit_entry WHERE stream = {row}.id AND stream_version = {row}.version - 1), {digest}
"""
_SEEN = "unnest(%s::uuid[], %s::int[]) AS seen (id, version)"
_SAME = "{row}.id = seen.id AND {row}.version = seen.version"


class Written(NamedTuple):
    """What the entry of one row at its new version has to name."""

    stream: UUID
    version: int
    at: datetime
    previous: bytes | None
    sealed: dict[str, str] | None


def written(rows: Sequence[Coupled]) -> list[Written]:
    """These rows of one table, in one query; RuntimeError where a version is not there yet."""
    model = type(rows[0])
    row, covered = model._meta.db_table, state.columns(model)
    if covered:
        sql = f"SELECT {_told(row, covered)} FROM {row}, {_SEEN} WHERE {_SAME.format(row=row)}"  # noqa: S608 - a table of the models
    else:
        sql = f"SELECT {_told('seen', covered)} FROM {_SEEN}"  # noqa: S608
    found = _run(sql, [*([covered] if covered else []), *_seen(rows)], covered)
    for one in rows:
        if one.pk not in found:
            raise RuntimeError(
                f"record() comes after the row: no {one} of version {one.version} is written yet"
            )
    return [found[one.pk] for one in rows]


def update(
    rows: Sequence[Coupled], columns: Mapping[str, Any], *, guard: Mapping[str, Any]
) -> dict[UUID, Written]:
    """Write the same into these rows of one governed table, where they still are as they were read; those that were.

    `guard` is what they must show besides their version. Values are what the ORM's own `update()` takes.
    """
    model = type(rows[0])
    row, covered = model._meta.db_table, state.columns(model)
    sets = [_value(model, name, value) for name, value in columns.items()]
    guards = [_value(model, name, value) for name, value in guard.items()]
    said = "".join(f"{column} = {sql}, " for column, sql, _ in sets)
    also = "".join(f" AND {row}.{column} = {sql}" for column, sql, _ in guards)
    sql = (
        f"UPDATE {row} SET {said}version = {row}.version + 1 FROM {_SEEN}"  # noqa: S608 - names of the models
        f" WHERE {_SAME.format(row=row)}{also} RETURNING {_told(row, covered)}"
    )
    return _run(sql, [*_params(sets), *_seen(rows), *_params(guards), covered], covered)


def _told(row: str, covered: list[str]) -> str:
    return _TOLD.format(row=row, digest=state.digest_sql(row) if covered else "NULL")


def _run(sql: str, params: list[Any], covered: list[str]) -> dict[UUID, Written]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        found = cursor.fetchall()
    names = " ".join(covered)
    sealed = {one[0]: {"digest": one[4], "columns": names} if covered else None for one in found}
    return {one[0]: Written(one[0], one[1], one[2], one[3], sealed[one[0]]) for one in found}


def _seen(rows: Sequence[Coupled]) -> list[Any]:
    return [[one.pk for one in rows], [one.version for one in rows]]


def _value(model: type[models.Model], name: str, value: Any) -> tuple[str, str, Sequence[Any]]:
    """A column, the SQL of its value, and the parameters in that."""
    field = next(one for one in model._meta.concrete_fields if name in {one.name, one.attname})
    column = f'"{field.column}"'
    if hasattr(value, "resolve_expression"):
        query = Query(model)
        resolved = value.resolve_expression(query, allow_joins=False, for_save=True)
        return column, *query.get_compiler(connection=connection).compile(resolved)
    of = value.pk if isinstance(value, models.Model) else value
    return column, "%s", [field.get_db_prep_save(of, connection)]


def _params(values: Sequence[tuple[str, str, Sequence[Any]]]) -> list[Any]:
    return [param for _, _, params in values for param in params]
