"""The log that the benchmarks search is a real one."""

import pytest

from audit.ledger import checkpoint, examine
from audit.models import Leaf
from benchmarks import history, offline
from tests.audit.log import write
from tests.audit.offline import check

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("own_key")]


def test_a_log_that_was_written_quickly_is_sound_and_goes_on(monkeypatch):
    monkeypatch.setattr(history, "CHUNK", 300)
    monkeypatch.setattr(history, "FIRST_DAYS", 50)
    grown = history.History()
    grown.grow(400)
    signed = grown.grow(1000)
    assert (signed.size, Leaf.objects.count()) == (1000, 1000)
    assert set(Leaf.objects.values_list("kind", flat=True)) >= {
        "team.joined",
        "attempt.refused",
        "sign_off.given",
    }
    with pytest.raises(RuntimeError, match="nothing was written"):
        history.History()
    write(1)
    grown.leader.integrate()
    grown.leader.sign(now=1e9)
    found = examine.examine(checkpoint.keys())
    assert (found.size, found.checkpoints, found.findings) == (1001, 5, [])


def test_a_bundle_that_was_built_quickly_is_one_that_the_stand_alone_verifier_verifies(tmp_path, capsys):
    trust = offline.build(tmp_path / "entries.jsonl", tmp_path / "log.zip", 2300)
    (tmp_path / "trust.json").write_bytes(trust)
    code, said = check(capsys, "bundle", tmp_path / "log.zip", "--trust", tmp_path / "trust.json")
    assert (code, "2300 entries of a log of 2300" in said) == (0, True), said
    assert "texts that entries commit to" in said
    lines = (tmp_path / "entries.jsonl").read_bytes().splitlines()
    assert {line.partition(b'"state":')[2][:1] for line in lines} == {b"n", b"{"}, (
        "rows with a state are among them"
    )
