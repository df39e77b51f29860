"""The action against a real database."""

import sqlite3
import threading
import time

import pytest
from countersign_sqlite import Sqlite
from jsonschema import Draft202012Validator

from orchestration.actions.base import Context

SCRIPT = "UPDATE flag SET state = :state WHERE name = 'new';\nDELETE FROM flag WHERE name = 'old';\n"


@pytest.fixture
def database(tmp_path, monkeypatch):
    (tmp_path / "flags.sql").write_text(SCRIPT)
    monkeypatch.chdir(tmp_path)
    with sqlite3.connect(tmp_path / "flags.db") as connection:
        connection.execute("CREATE TABLE flag (name, state)")
        connection.execute("INSERT INTO flag VALUES ('new', 'off'), ('old', 'on')")
    return tmp_path / "flags.db"


def run(database, *, phase="apply", **changed):
    with_ = {"database": str(database), "script": "flags.sql", "values": {"state": "on"}, **changed}
    Draft202012Validator(Sqlite.schema).validate(with_)
    context = Context(
        with_=with_, idempotency_key="key", fence="step:1", cancelled=threading.Event(),
        deadline=time.monotonic() + 60, say=print, phase=phase, artifacts=database.parent,
    )  # fmt: skip
    return Sqlite().run(context)


def rows(database):
    with sqlite3.connect(database) as connection:
        return connection.execute("SELECT * FROM flag ORDER BY name").fetchall()


def test_it_runs_all_of_a_script(database):
    assert run(database).outputs == {"statements": 2}
    assert rows(database) == [("new", "on")]


def test_a_plan_takes_everything_back(database):
    assert run(database, phase="plan").succeeded
    assert rows(database) == [("new", "off"), ("old", "on")]
    assert '"irreversible": true' in (database.parent / "summary.json").read_text()


@pytest.mark.parametrize("typed", ["'; DROP TABLE flag; --", "$(id)", "{{7*7}}", "a\nb"])
def test_what_a_person_typed_is_a_value(database, typed):
    run(database, values={"state": typed})
    assert rows(database) == [("new", typed)]


@pytest.mark.parametrize("script", ["COMMIT;", "ATTACH '/tmp/other.db' AS other;", "SAVEPOINT a;"])
def test_a_script_cannot_leave_its_transaction(database, script):
    (database.parent / "flags.sql").write_text(SCRIPT + script)
    with pytest.raises(sqlite3.DatabaseError, match="not authorized"):
        run(database)
    assert rows(database) == [("new", "off"), ("old", "on")]


@pytest.mark.parametrize("name", ["../x.sql", "-x", "/etc/passwd", "a\n"])
def test_a_script_lies_beside_the_workflow(name):
    assert not Draft202012Validator(Sqlite.schema).is_valid({"database": "/a", "script": name})
