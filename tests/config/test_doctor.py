"""The doctor finds what is wrong, says what to do, and is never content with a part that it could not look at."""

import json
import shutil
from datetime import timedelta
from io import StringIO

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection
from django.db.models.functions import Now

from approvals import switches
from audit.ledger import checkpoint, roles
from config import doctor
from orchestration.engine.nodes import Node
from orchestration.models import WorkerNode
from tests.approvals.cast import sql
from tests.audit.log import address, as_insider, sequence
from tests.factories import TEST
from tests.orchestration.world import World


@pytest.fixture
def well(transactional_db, monkeypatch, settings, tmp_path):
    settings.KEY_DIR = tmp_path / "keys"
    monkeypatch.setattr(checkpoint, "ask", lambda asked: checkpoint.keeper().answer(dict(asked)))
    world = World()
    node = Node()
    node.register()
    return world


def found(part):
    return [(one.verdict, one.says) for one in doctor.examine() if one.part == part and one.verdict != "ok"]


def test_an_installation_that_is_well_has_nothing_ill(well):
    assert [one for one in doctor.examine() if one.verdict == "ill"] == []
    assert {one.part for one in doctor.examine()} >= set(doctor.PARTS)


def test_a_guard_that_sleeps_a_bundle_that_was_edited_and_workers_that_are_gone_are_found(well):
    sql("ALTER TABLE orchestration_run DISABLE TRIGGER orchestration_run_governed")
    try:
        assert "switched off" in found("guards")[0][1]
    finally:
        sql("ALTER TABLE orchestration_run ENABLE TRIGGER orchestration_run_governed")
    WorkerNode.objects.update(seen_at=Now() - timedelta(minutes=2))
    assert found("workers")[0][0] == "ill"
    sql("UPDATE approvals_bundle SET digest = 'sha256:0'")
    assert found("policy")[0][0] == "ill"


def test_an_archive_that_is_behind_that_nobody_tried_or_that_was_altered_is_found(well, settings, tmp_path):
    assert found("archive") == []
    settings.ARCHIVE = str(tmp_path / "archive")
    assert found("archive")[0] == ("ill", "nothing was archived yet")
    sequence()
    call_command("ledger", "archive", stdout=StringIO())
    assert found("archive") == [("look", "nobody restored and verified it within 90 days")]
    call_command("ledger", "restore-check", stdout=StringIO())
    assert found("archive") == []
    as_insider("UPDATE audit_entry SET occurred_at = now() - interval '91 days' WHERE kind LIKE 'archive.%%'")
    assert [verdict for verdict, _ in found("archive")] == ["ill", "look"]
    shutil.rmtree(tmp_path / "archive/tile/0")
    with pytest.raises(SystemExit):
        call_command("ledger", "restore-check", stdout=StringIO())
    assert "the verdict was altered" in found("archive")[-1][1]


def test_timestamps_that_nobody_gives_are_found(well, settings):
    assert found("timestamps") == []
    settings.TSA_URL = "http://127.0.0.1:9/"
    assert found("timestamps") == [("look", "the authority gave none within two days")]


def test_a_role_that_may_too_much_and_whoever_connects_as_the_owner_are_found(well):
    roles.settle()
    assert found("roles") == []
    sql("GRANT DELETE ON audit_entry TO countersign_app")
    with psycopg.connect(address(connection.settings_dict["USER"])):
        told = [says for _, says in found("roles")]
    assert told[0] == "countersign_app may DELETE on audit_entry, and must not."
    assert told[1] == "somebody is connected as countersign, which no guard can hold"
    roles.settle()
    with psycopg.connect(address(roles.APP)):
        assert found("roles") == []


def test_a_readable_key_a_broker_that_is_away_and_a_switch_are_found(well, settings, tmp_path):
    switches.throw(environment="*", action="*", hard=False, reason="It burns.", by=TEST)
    assert found("kill switches") == [("look", "all environments: It burns.")]
    settings.BROKER_URL = f"redis+socket://{tmp_path}/none.sock"
    assert found("broker")[0][0] == "look"
    settings.KEY_DIR = tmp_path / "others"
    assert found("keys")[0][0] == "ill"
    (tmp_path / "others/worker").mkdir(parents=True)
    (tmp_path / "others/worker/trust.key").write_text("00")
    (tmp_path / "others/worker/trust.key").chmod(0o644)
    assert any("read by others" in says for _, says in found("keys"))


def test_a_signer_that_is_away_and_a_log_that_it_did_not_sign_are_found(well, monkeypatch):
    sequence(checkpoint.keeper())
    assert found("signer") == []
    as_insider("UPDATE audit_checkpoint SET root = sha256('')")
    assert "another log of" in found("signer")[0][1]
    as_insider("UPDATE audit_head SET size = size - 1")
    assert "its end" not in found("signer")[0][1]
    assert "it has signed" in found("signer")[0][1]
    monkeypatch.undo()
    assert found("signer")[0][0] == "ill"


def test_workers_that_nothing_reaches_are_found_though_the_broker_answers(well):
    WorkerNode.objects.update(heard_at=Now() - timedelta(seconds=40), started_at=Now() - timedelta(hours=1))
    assert found("broker") == []
    ((verdict, says),) = found("wake-ups")
    assert (verdict, "no worker got a message for 40 s" in says) == ("look", True)
    node = Node()
    node.register()
    node.hear()
    node.beat()
    assert WorkerNode.objects.get(boot_id=node.boot_id).heard_at is not None
    assert found("wake-ups") == []


def test_a_part_that_cannot_be_looked_at_is_ill(well, monkeypatch):
    def broken():
        raise OSError("no such disk")

    monkeypatch.setitem(doctor.PARTS, "disk", broken)
    assert found("disk") == [("ill", "could not be looked at: OSError: no such disk")]


@pytest.mark.parametrize(("verdict", "code"), [("look", 2), ("ill", 1)])
def test_the_command_speaks_json_and_exits_by_what_it_found(well, monkeypatch, verdict, code):
    monkeypatch.setattr(doctor, "PARTS", {"fine": lambda: iter(())})
    out = StringIO()
    call_command("doctor", "--json", stdout=out)
    assert json.loads(out.getvalue())["verdict"] == "ok"
    monkeypatch.setitem(doctor.PARTS, "one", lambda: iter([doctor.Finding("one", verdict, "hm", "Look.")]))
    with pytest.raises(SystemExit) as left:
        call_command("doctor", stdout=out)
    assert (left.value.code, "Look." in out.getvalue()) == (code, True)
