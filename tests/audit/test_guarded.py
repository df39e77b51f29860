"""The guards are checked themselves: a database without them would look as if nothing were missing."""

import pytest
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import ProgrammingError, connection, transaction

from audit.ledger import checkpoint, examine, guarded
from audit.models import Tile
from tests.audit.log import sequence, write

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_key")]


def run(sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)


def test_a_migrated_database_has_every_guard_and_a_table_of_each_app_is_governed():
    assert guarded.faults() == []
    assert {one.table.split("_")[0] for one in guarded.couplings()} == {
        "accounts",
        "approvals",
        "orchestration",
    }
    call_command("check", "--deploy", database=["default"])


def test_a_database_without_our_tables_can_still_be_migrated(monkeypatch):
    """`migrate` asks the database checks first, so they must not ask for what it is about to make."""
    monkeypatch.setattr(guarded, "faults", lambda: ["The trigger that comes next is missing."])
    call_command("migrate", verbosity=0, skip_checks=False)


NO_GUARD = (
    "CREATE OR REPLACE FUNCTION audit_guard_row() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'"
)
FREER = """CREATE OR REPLACE TRIGGER orchestration_step_governed BEFORE INSERT OR UPDATE OR DELETE
    ON orchestration_step FOR EACH ROW EXECUTE FUNCTION audit_guard_row('lease_until', 'state')"""
NEVER = """CREATE OR REPLACE TRIGGER audit_entry_append_only BEFORE UPDATE OR DELETE ON audit_entry
    FOR EACH ROW WHEN (false) EXECUTE FUNCTION audit_append_only()"""
DAMAGES = {
    "ALTER TABLE audit_entry DISABLE TRIGGER audit_entry_append_only": "audit_entry_append_only of audit_entry is",
    "ALTER TABLE audit_leaf ENABLE REPLICA TRIGGER audit_leaf_append_only": "switched off",
    "DROP TRIGGER audit_checkpoint_no_truncate ON audit_checkpoint": "audit_checkpoint_no_truncate is missing",
    "ALTER TABLE orchestration_change DISABLE TRIGGER ALL": "of orchestration_change is switched off",
    "ALTER TABLE approvals_signoff DROP CONSTRAINT approvals_signoff_has_entry": "signoff_has_entry is missing",
    "ALTER TABLE approvals_permit ALTER CONSTRAINT approvals_permit_has_entry NOT ENFORCED": "has_entry is other",
    NO_GUARD: "audit_guard_row is other",
    FREER: "orchestration_step_governed is other",
    NEVER: "audit_entry_append_only is other",
}


@pytest.mark.parametrize(("damage", "said"), DAMAGES.items())
def test_a_guard_that_was_put_to_sleep_is_named(damage, said):
    run(damage)
    faults = guarded.faults()
    assert any(said in fault for fault in faults), faults
    with pytest.raises(SystemCheckError, match=r"audit\.E001"):
        call_command("check", "--deploy", database=["default"])


def test_a_tile_grows_and_never_changes():
    write(3)
    sequence()
    write(3)
    sequence()
    assert Tile.objects.get().width == 6
    for sql in (
        "UPDATE audit_tile SET data = reverse(data)",
        "UPDATE audit_tile SET width = 5, data = substr(data, 1, 160)",
        "UPDATE audit_tile SET width = 7",
        "UPDATE audit_tile SET index = 1",
        "DELETE FROM audit_tile",
        "TRUNCATE audit_tile",
    ):
        with pytest.raises(ProgrammingError, match="only grows"), transaction.atomic():
            run(sql)


@pytest.mark.django_db(transaction=True)
def test_an_examination_of_the_log_names_a_sleeping_guard():
    write(1)
    sequence()
    run("ALTER TABLE audit_entry DISABLE TRIGGER audit_entry_append_only")
    try:
        report = examine.examine(checkpoint.keys())
    finally:
        run("ALTER TABLE audit_entry ENABLE TRIGGER audit_entry_append_only")
    told = "The trigger audit_entry_append_only of audit_entry is switched off."
    assert [one.text for one in report.findings] == [told]
    assert examine.examine(checkpoint.keys()).findings == []
