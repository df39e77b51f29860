"""Are the database's guards the ones that our migrations made, and awake? Only looks; repairs nothing.

Nobody would notice a guard that was dropped, disabled or replaced: everything would go on working.
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from django.apps import apps
from django.db import connection
from django.db.migrations.loader import MigrationLoader

from audit.ledger.coupling import APPEND_ONLY, DIGEST, GROWING, GUARD, Coupling
from audit.models import Coupled

BEFORE, ROW, INSERT, DELETE, UPDATE, TRUNCATE = 2, 1, 4, 8, 16, 32  # bits of pg_trigger.tgtype
CHANGES = BEFORE | ROW | UPDATE | DELETE
AWAKE = ("O", "A")  # fires for everybody who is no replica
FOREIGN_KEY = (
    "FOREIGN KEY (id, version) REFERENCES audit_entry(stream, stream_version) DEFERRABLE INITIALLY DEFERRED"
)
FUNCTION = re.compile(r"FUNCTION (\w+)\([^)]*\) RETURNS.*?AS \$\$(.*?)\$\$", re.DOTALL)


class Trigger(NamedTuple):
    """A trigger as it must be; `told` are its arguments."""

    table: str
    name: str
    function: str
    when: int
    told: tuple[str, ...] = ()


def faults() -> list[str]:
    """A sentence for each guard that is missing, asleep or other than it was made."""
    return [*_functions(), *_triggers(), *_keys(), *_ungoverned()]


def couplings() -> list[Coupling]:
    """The tables that the migrations govern."""
    loader = MigrationLoader(None, ignore_no_migrations=True)
    return [
        operation
        for migration in loader.disk_migrations.values()
        for operation in migration.operations
        if isinstance(operation, Coupling)
    ]


def expected() -> Iterator[Trigger]:
    """Every trigger that must be there."""
    for one in couplings():
        when = CHANGES | INSERT
        yield Trigger(one.table, f"{one.table}_governed", "audit_guard_row", when, one.free)
        yield Trigger(one.table, f"{one.table}_no_truncate", "audit_guard_row", BEFORE | TRUNCATE)
    for table in APPEND_ONLY:
        yield Trigger(table, f"{table}_append_only", "audit_append_only", CHANGES)
        yield Trigger(table, f"{table}_no_truncate", "audit_append_only", BEFORE | TRUNCATE)
    yield Trigger("audit_tile", "audit_tile_only_grows", "audit_only_grows", CHANGES)
    yield Trigger("audit_tile", "audit_tile_no_truncate", "audit_only_grows", BEFORE | TRUNCATE)
    yield Trigger("audit_opening", "audit_opening_unchanged", "audit_append_only", BEFORE | ROW | UPDATE)
    yield Trigger("audit_opening", "audit_opening_no_truncate", "audit_append_only", BEFORE | TRUNCATE)


def _functions() -> Iterator[str]:
    made = dict(FUNCTION.findall(GUARD + GROWING + DIGEST))
    stored = _ask("SELECT proname, prosrc FROM pg_proc WHERE proname = ANY(%s)", list(made))
    found = dict(stored)
    for name, source in made.items():
        if found.get(name) != source:
            yield f"The function {name} is {'other than it was made' if name in found else 'missing'}."


def _triggers() -> Iterator[str]:
    wanted = list(expected())
    rows = _ask(
        "SELECT t.tgrelid::regclass::text, t.tgname, p.proname, t.tgtype, t.tgargs, t.tgenabled, t.tgqual IS NULL"
        " FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid WHERE t.tgrelid = ANY(%s::text[]::regclass[])",
        sorted({one.table for one in wanted}),
    )
    found = {}
    for table, name, function, when, told, enabled, always in rows:
        found[table, name] = (Trigger(table, name, function, when, _arguments(told)), always)
        if enabled not in AWAKE:
            yield f"The trigger {name} of {table} is switched off."
    for one in wanted:
        if found.get((one.table, one.name)) != (one, True):
            there = (one.table, one.name) in found
            yield f"The trigger {one.name} is {'other than it was made' if there else 'missing'}."


def _keys() -> Iterator[str]:
    names = [f"{one.table}_has_entry" for one in couplings()]
    rows = _ask("SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = ANY(%s)", names)
    found = dict(rows)
    for name in names:
        if found.get(name) != FOREIGN_KEY:
            yield f"The foreign key {name} is {'other than it was made' if name in found else 'missing'}."


def _ungoverned() -> Iterator[str]:
    governed = {one.table for one in couplings()}
    for model in apps.get_models():
        managed = issubclass(model, Coupled) and model._meta.managed
        if managed and model._meta.db_table not in governed:
            yield f"The table {model._meta.db_table} holds governed rows, but no migration couples it."


def _arguments(told: bytes) -> tuple[str, ...]:
    return tuple(name.decode() for name in bytes(told).split(b"\0")[:-1])


def _ask(sql: str, names: list[str]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, [names])
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows
