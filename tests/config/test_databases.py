"""Addresses of databases: whatever a process connects as, the same statement is planned once."""

import pytest
from django.db import connection, connections

from config.databases import address, read_address
from config.embedded.product import become


@pytest.fixture
def as_before(settings, monkeypatch):
    """What this process signs and connects as, put back at the end."""
    kept = connections.settings["default"]
    monkeypatch.setitem(connections.settings, "default", dict(kept))
    for name in ("SIGNS_AS", "DATABASE_URL"):
        setattr(settings, name, getattr(settings, name))
        monkeypatch.setenv(f"COUNTERSIGN_{name}", getattr(settings, name))


def test_an_address_may_name_a_folder_of_sockets_and_options(tmp_path):
    read = read_address(f"{address(tmp_path, 'somebody')}&connect_timeout=3")
    assert (read["HOST"], read["USER"], read["NAME"]) == (str(tmp_path), "somebody", "countersign")
    assert "host" not in read["OPTIONS"]
    assert read["OPTIONS"]["connect_timeout"] == 3


def test_a_process_that_connects_in_a_role_still_plans_each_statement_once(as_before, tmp_path):
    become("web", address(tmp_path, "somebody"))
    told = connections.settings["default"]
    assert told["USER"] == "somebody"
    assert told["OPTIONS"]["server_side_binding"] is True
    assert told["OPTIONS"]["prepare_threshold"] == 3


@pytest.mark.django_db
def test_what_is_asked_often_is_prepared():
    with connection.cursor() as cursor:
        for _ in range(5):
            cursor.execute("SELECT %s::int AS planned_once", [1])
        cursor.execute("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%%planned_once%%'")
        assert cursor.fetchone()[0] >= 1
