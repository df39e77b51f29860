"""A policy engine that crashes, hangs or talks nonsense: nothing is asked for, nothing starts, and it is said why."""

import pytest
from django.db.models.functions import Now

from approvals.models import Chain, Decision, Permit
from approvals.policy import pool
from audit.models import Entry
from orchestration.models import Change, Step
from tests.browser import REQUEST, Browser
from tests.factories import Bank
from tests.orchestration.deeds import claimed, holding

pytestmark = pytest.mark.django_db(transaction=True)
CHILD = """
import json, os, struct, sys, time
def say(data):
    sys.stdout.buffer.write(struct.pack(">I", len(data)) + data)
    sys.stdout.flush()
say(b'{"ready": true}')
sys.stdin.buffer.read(4)
"""
BROKEN = {
    "crashes": "os.abort()",
    "hangs": "time.sleep(60)",
    "says no JSON": 'say(b"\\xff\\xfe all is well")',
    "says too much": 'sys.stdout.buffer.write(b"\\xff" * 64)',
    "allows everything": """say(json.dumps({"value": {"deny": [], "require": "nobody"}}).encode())""",
    "answers nothing": 'say(b"{}")',
}


@pytest.fixture
def engine(monkeypatch, tmp_path):
    """Lets the processes of the engine be others from now on; with nothing, its own again."""

    def be(broken=""):
        for one in pool._pools.values():
            one.close()
        pool._pools.clear()
        child = tmp_path / "child.py"
        child.write_text(CHILD + BROKEN.get(broken, ""))
        monkeypatch.setattr(pool, "CHILD", child if broken else own)

    own = pool.CHILD
    monkeypatch.setattr(pool, "EVALUATE_SECONDS", 0.5)
    yield be
    be()


@pytest.mark.parametrize("broken", BROKEN)
def test_f40_while_the_policy_engine_is_broken_nothing_is_asked_for_and_nothing_starts(engine, broken):
    bank = Bank()
    approved = bank.approved()
    step = Step.objects.get(run__change=approved)
    known = Change.objects.count(), Chain.objects.count(), Decision.objects.count()
    browser = Browser(bank, "mara")
    engine(broken)

    answer = browser.post("changes/", REQUEST)
    assert answer.status_code in {409, 503}, answer.content
    assert "olicy" in answer.json()["detail"]
    assert (Change.objects.count(), Chain.objects.count(), Decision.objects.count()) == known
    assert claimed(step) is None
    step.refresh_from_db()
    assert (step.state, step.attempt) == ("ready", 0)
    assert "olicy" in step.held_reason
    assert not Permit.objects.exists()
    assert Entry.objects.filter(kind="attempt.refused", subject=approved.runs.get().key).count() == 1

    engine()
    Step.objects.update(not_before=Now())
    assert holding(step).attempt.number == 1
    assert browser.post("changes/", REQUEST).status_code == 201
