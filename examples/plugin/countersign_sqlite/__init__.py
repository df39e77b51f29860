"""`sqlite`: a file of SQL beside the workflow, run in one transaction of a SQLite database.

As a plan it runs everything, tells what it did, and takes it back. It must never commit before the last statement.
"""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

from orchestration.actions import fields, summary
from orchestration.actions.base import ChildAction, Context, Result

# What would reach out of the one transaction, or out of the one database.
REFUSED = {sqlite3.SQLITE_TRANSACTION, sqlite3.SQLITE_SAVEPOINT, sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH}


class Sqlite(ChildAction):
    name = "sqlite"
    summary = "Runs a file of SQL in one transaction of a SQLite database."
    plans = True
    schema: ClassVar[dict[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["database", "script"],
        "properties": {
            "database": {"type": "string", "maxLength": 1000, "pattern": rf"^/[^\x00-\x1f?]*{fields.END}"},
            "script": fields.PATH,
            "values": fields.named("[a-z][a-z0-9_]*", fields.SCALAR, most=50),
        },
    }

    def reads(self, with_: Mapping[str, Any]) -> tuple[str, ...]:
        return (with_["script"],)

    def run(self, context: Context) -> Result:
        given = context.with_
        database = Path(given["database"])
        if not database.is_file():
            return Result(succeeded=False, reason=f"There is no database {database}; nothing was run.")
        with closing(sqlite3.connect(database, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.set_authorizer(
                lambda act, *_: sqlite3.SQLITE_DENY if act in REFUSED else sqlite3.SQLITE_OK
            )
            ran = [
                _execute(connection, one, given, context)
                for one in statements(Path(given["script"]).read_text())
            ]
            connection.set_authorizer(None)
            connection.execute("COMMIT" if context.phase == "apply" else "ROLLBACK")
        if context.phase == "plan":
            summary.leave(context.artifacts, ran)
        return Result(succeeded=True, outputs={"statements": len(ran)})


def _execute(
    connection: sqlite3.Connection, statement: str, given: Mapping[str, Any], context: Context
) -> summary.Planned:
    """One statement; what a person typed is bound to its names and never becomes SQL."""
    before = connection.total_changes
    connection.execute(statement, given.get("values", {}))
    rows = connection.total_changes - before
    context.say(f"{rows} rows: {statement}")
    destroys = statement.lower().startswith(("delete", "drop"))
    return summary.Planned(statement, "delete" if destroys else "update", after=f"{rows} rows")


def statements(script: str) -> Iterator[str]:
    """The statements of a script, each ended by its semicolon."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement.strip()
            statement = ""
    if statement.strip():
        yield statement.strip()
