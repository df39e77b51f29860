"""The digest of a governed row as an entry keeps it, so that an edit behind the ledger's back is found.

Covers every column but the free ones and those with personal data: a digest of a name survives its erasure and can
be guessed. The entry names the columns, so that a column added later changes nothing.
"""

from functools import cache

from django.db import connection

from audit.models import Coupled

FREE = """
SELECT tgargs FROM pg_trigger WHERE tgrelid = to_regclass(%s) AND tgname = %s || '_governed'
"""


@cache
def free_columns(table: str) -> tuple[str, ...] | None:
    """The columns that may change without an entry; None when the table is not governed."""
    with connection.cursor() as cursor:
        cursor.execute(FREE, [table, table])
        row = cursor.fetchone()
    return None if row is None else tuple(name.decode() for name in bytes(row[0]).split(b"\0")[:-1])


def columns(model: type[Coupled]) -> list[str]:
    """The columns that the digest of a row covers; none when its table is not governed."""
    free = free_columns(model._meta.db_table)
    if free is None:
        return []
    left_out = {*free, *model.unsealed}
    named = {field.column for field in model._meta.concrete_fields if field.column}
    return sorted(named - left_out)


def digest_sql(row: str) -> str:
    """SQL for the digest of the row with this alias over the columns in one array parameter; in UTC."""
    kept = f"SELECT jsonb_object_agg(key, value) FROM jsonb_each(to_jsonb({row})) WHERE key = ANY(%s)"  # noqa: S608 - an alias
    return f"encode(sha256(convert_to(({kept})::text, 'UTF8')), 'hex')"
