"""What each role of the database may do and what it is refused, by trying it as that role on the real server."""

import json
from contextlib import contextmanager
from io import StringIO

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from psycopg.errors import InsufficientPrivilege

from audit import tasks
from audit.ledger import checkpoint, examined, roles
from tests.audit.log import address, as_insider, sequence, write
from tests.factories import Bank

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def log():
    """Some entries with a place, and one that waits for it."""
    roles.settle()
    write(1)
    sequence()
    write(1)


def tried(role, statements):
    """What became of each: nothing said where it went through. Nothing that it does is kept."""
    told = {}
    with psycopg.connect(address(role)) as one:
        for sql in statements:
            try:
                with one.transaction(force_rollback=True):
                    one.execute(sql)
                told[sql] = ""
            except psycopg.Error as error:
                told[sql] = type(error).__name__
    return told


ENTRY = """INSERT INTO audit_entry (id, stream, stream_version, kind, subject, actor, occurred_at, body, leaf_hash)
    VALUES (gen_random_uuid(), gen_random_uuid(), 1, 'x', 'x', 'x', now(), '', '')"""
LEAF = """INSERT INTO audit_leaf (index, entry_id, leaf_hash, kind, subject, actor, occurred_at)
    SELECT 99, id, leaf_hash, kind, subject, actor, occurred_at FROM audit_entry LIMIT 1 ON CONFLICT DO NOTHING"""
TILE = """INSERT INTO audit_tile (level, index, width, data) VALUES (5, 0, 1, sha256('')) ON CONFLICT (level, index)
    DO UPDATE SET width = excluded.width, data = excluded.data"""
CHECKPOINT = "INSERT INTO audit_checkpoint (size, root, note, created_at) VALUES (99, sha256(''), '', now())"
COSIGNED = """INSERT INTO audit_cosignature (checkpoint_id, witness, line, at)
    SELECT size, 'w', '', now() FROM audit_checkpoint"""
HEAD = "UPDATE audit_head SET size = 99, root = sha256(''), integrated_at = now(), newest_at = now() WHERE id = 1"
GRAB = "SELECT entry_id FROM audit_pending FOR UPDATE SKIP LOCKED"
TEAM = "UPDATE accounts_team SET name = 'x' WHERE false"

MAY = {
    roles.APP: [
        ENTRY,
        "INSERT INTO audit_pending SELECT id FROM audit_entry ON CONFLICT DO NOTHING",
        "SELECT body FROM audit_entry",
        "SELECT note FROM audit_checkpoint",
        TEAM,
        "DELETE FROM accounts_rate",
        "DELETE FROM audit_opening WHERE false",
        "SELECT nextval('orchestration_change_number')",
    ],
    roles.SEQUENCER: [
        GRAB, "DELETE FROM audit_pending", LEAF, TILE, CHECKPOINT, COSIGNED, HEAD, ENTRY,  # the last is its beat
    ],
    roles.AUDITOR: [
        "SELECT body FROM audit_entry",
        "SELECT data FROM audit_tile",
        "SELECT salt, value FROM audit_opening",
        "SELECT id, version FROM accounts_user",
        "SELECT data FROM orchestration_logchunk",
    ],
}  # fmt: skip
FOR_NOBODY = [
    "UPDATE audit_entry SET subject = 'x'",
    "DELETE FROM audit_entry",
    "TRUNCATE audit_entry CASCADE",
    "UPDATE audit_leaf SET index = index + 1",
    "DELETE FROM audit_leaf",
    "DELETE FROM audit_tile",
    "UPDATE audit_checkpoint SET note = ''",
    "DELETE FROM audit_checkpoint",
    "DELETE FROM audit_head",
    "UPDATE audit_opening SET value = 'x'",
    "ALTER TABLE audit_entry DISABLE TRIGGER ALL",
    "DROP TRIGGER audit_entry_append_only ON audit_entry",
    "CREATE TRIGGER mine BEFORE INSERT ON audit_entry EXECUTE FUNCTION audit_append_only()",
    "CREATE OR REPLACE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    "SET session_replication_role = replica",
    "SET ROLE countersign",
    "CREATE TABLE mine (n int)",
    "CREATE TEMP TABLE audit_entry (n int)",
    "COPY audit_entry TO PROGRAM 'true'",
    "CREATE ROLE mine",
]
MUST_NOT = {
    roles.APP: [
        LEAF, TILE, CHECKPOINT, COSIGNED, HEAD, GRAB,
        "DELETE FROM audit_pending",
        "UPDATE audit_tile SET data = '' WHERE level = 0",
        "DELETE FROM accounts_team",
        "TRUNCATE accounts_rate",
        "INSERT INTO django_migrations (app, name, applied) VALUES ('x', 'x', now())",
    ],
    roles.SEQUENCER: [
        TEAM,
        "SELECT username FROM accounts_user",
        "SELECT value FROM audit_opening",
        "SELECT * FROM approvals_signoff",
        "UPDATE audit_tile SET level = 9",
        "SELECT audit_row_digest('accounts_user', gen_random_uuid(), '{password}')",
    ],
    roles.AUDITOR: [
        ENTRY, LEAF, TILE, CHECKPOINT, COSIGNED, HEAD, GRAB, TEAM,
        "SELECT password FROM accounts_user",
        "SELECT session_data FROM accounts_usersession",
        "SELECT session_data FROM django_session",
        "SELECT sha256 FROM accounts_token",
        "SELECT response FROM accounts_idempotencykey",
        "SELECT key FROM account_emailconfirmation",
        "SELECT sha256 FROM approvals_feed",
        "SELECT ciphertext FROM orchestration_secretversion",
        "SELECT header FROM orchestration_destination",
    ],
}  # fmt: skip


@pytest.mark.parametrize("role", roles.ROLES)
def test_g01_a_role_may_do_what_its_work_needs_and_is_refused_everything_else(log, role):
    assert {sql: why for sql, why in tried(role, MAY[role]).items() if why} == {}
    refused = tried(role, FOR_NOBODY + MUST_NOT[role])
    assert {sql: why for sql, why in refused.items() if why != InsufficientPrivilege.__name__} == {}


def test_an_auditor_is_told_the_digest_of_governed_rows_alone(log):
    (why,) = tried(
        roles.AUDITOR, ["SELECT audit_row_digest('django_session', gen_random_uuid(), '{}')"]
    ).values()
    assert why == "RaiseException"


def test_what_was_granted_or_taken_behind_our_back_is_told_and_put_right(log):
    assert list(roles.faults()) == []
    assert not roles.settle(), "nothing was to be done"
    run(f"GRANT UPDATE (body), DELETE ON audit_entry TO {roles.APP}")
    run(f"REVOKE INSERT ON audit_leaf FROM {roles.SEQUENCER}")
    run(f"ALTER ROLE {roles.AUDITOR} BYPASSRLS")
    try:
        assert list(roles.faults()) == [
            "countersign_app may DELETE on audit_entry, and must not.",
            "countersign_app may UPDATE on audit_entry (body), and must not.",
            "countersign_sequencer may not INSERT on audit_leaf, and must.",
            "countersign_auditor is a superuser, may make roles or databases, or is a member of another role.",
        ]
        with pytest.raises(SystemExit):
            call_command("ledger", "roles", "--check", stdout=StringIO())
    finally:
        run(f"ALTER ROLE {roles.AUDITOR} NOBYPASSRLS")
    out = StringIO()
    call_command("ledger", "roles", stdout=out)
    assert ("set up" in out.getvalue(), list(roles.faults())) == (True, [])


def test_who_may_not_make_roles_is_told_what_to_do(log):
    run(f"REVOKE INSERT ON audit_leaf FROM {roles.SEQUENCER}")
    with (
        acting_as(roles.APP),
        pytest.raises(CommandError, match="The roles were not set up"),
    ):
        call_command("ledger", "roles", stdout=StringIO())


def test_an_auditor_verifies_and_exports_the_whole_log_with_its_rows(tmp_path):
    roles.settle()
    Bank()
    sequence()
    key = f"--key={checkpoint.verifier()}"
    with acting_as(roles.AUDITOR):
        out = StringIO()
        call_command("ledger", "verify", key, "--json", stdout=out)
        told = json.loads(out.getvalue())
        assert (told["verified"], told["findings"], told["rows"] > 5) == (True, [], True)
        call_command("ledger", "export", tmp_path / "out", stdout=out)
    as_insider("UPDATE accounts_team SET slug = slug || 'x'")
    out = StringIO()
    with acting_as(roles.AUDITOR), pytest.raises(SystemExit):
        call_command("ledger", "verify", key, stdout=out)
    assert "was edited" in out.getvalue()


def test_a_worker_examines_the_whole_log_with_its_rows_and_tells_what_it_found(log):
    bank = Bank()
    sequence()
    as_insider("UPDATE accounts_team SET version = 7 WHERE id = %s", bank.teams["elsewhere"].pk)
    with acting_as(roles.APP):
        tasks.examine()
    found = examined.newest()
    assert found is not None
    assert "at version 7" in found.first


@contextmanager
def acting_as(role):
    """This test's connection with the rights of a role, and no others."""
    run(f"SET ROLE {role}")
    try:
        yield
    finally:
        run("RESET ROLE")


def run(sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)
