"""Each sentence that must never become true is counted when somebody makes it true, past everything that forbids it."""

import re
from pathlib import Path

from django.db import transaction

from audit.ledger.record import record
from orchestration.engine import cancel
from orchestration.engine.invariants import violations
from orchestration.engine.reconcile import reconcile
from orchestration.engine.resolve import resolve
from orchestration.engine.rows import lock_run
from tests.approvals.cast import sql
from tests.orchestration.deeds import ended, holding, vanish
from tests.orchestration.world import SETUP, World, step

# What an insider does to a run of `a`, which ended, and `b`, which runs and must not be repeated. Guards are asleep.
DEEDS = {
    "I1_running_without_permit": "UPDATE orchestration_run SET permit_id = NULL",
    "I1_permit_for_another_purpose": "UPDATE approvals_permit SET purpose = 'plan', chain_id = NULL",
    "I1_fewer_agreed_than_asked": "UPDATE approvals_signoff SET withdrawn_at = now()",
    "I2_permit_for_another_digest": "UPDATE orchestration_run SET digest = 'sha256:x'",
    "I3_run_of_an_older_revision": "UPDATE orchestration_change SET revision_id = NULL",
    "I5_chain_unlike_its_decision": """UPDATE approvals_decision SET output = '{"require": []}'""",
    "I6_counted_in_conflict": """
        UPDATE approvals_chain SET conflicted = conflicted || (SELECT array_agg(person_id) FROM approvals_signoff)""",
    "I8_run_and_change_disagree": "UPDATE orchestration_change SET state = 'approved'",
    "I9_attempts_with_a_gap": """
        DELETE FROM orchestration_stepattempt WHERE step_id = (SELECT id FROM orchestration_step WHERE key = 'a')""",
    "I9_running_without_attempt": "UPDATE orchestration_step SET attempt = 0 WHERE key = 'b'",
    "I9_running_by_unknown_worker": "UPDATE orchestration_workernode SET signature = 'x'",
    "I10_running_without_its_start": "UPDATE orchestration_stepattempt SET ended_at = now()",
    "I11_repeated_without_a_person": """
        UPDATE orchestration_step SET max_attempts = 2, attempt = 2 WHERE key = 'b';
        INSERT INTO orchestration_stepattempt (id, step_id, number, worker_boot_id, started_at, outcome, reason, answer,
                                               last_seq, dropped_bytes)
        SELECT gen_random_uuid(), id, 2, lease_owner, now(), '', '', '', 0, 0
          FROM orchestration_step WHERE key = 'b'""",
    "I12_running_before_its_needs": "UPDATE orchestration_step SET state = 'blocked' WHERE key = 'a'",
    "I13_lease_that_nobody_reaps": """
        UPDATE orchestration_step SET lease_until = now() - interval '3 minutes' WHERE key = 'b'""",
    "I19_events_with_a_gap": "UPDATE orchestration_run SET event_seq = event_seq + 1",
    "I20_change_unlike_the_ledger": "DELETE FROM audit_entry WHERE kind = 'change.running'",
    "I20_run_unlike_the_ledger": "DELETE FROM audit_entry WHERE kind = 'run.running'",
    "I20_step_unlike_the_ledger": "DELETE FROM audit_entry WHERE kind = 'step.running'",
}


def under_way(world: World):
    """A run of which `a` has ended and `b` runs."""
    run = world.run(step("a"), step("b", needs=["a"]), step("c", needs=["b"]))
    ended(holding(run.steps.get(key="a")))
    holding(run.steps.get(key="b"))
    return run


def after(*deeds):
    """What is counted once these were done; then they are undone."""
    with transaction.atomic():
        for deed in deeds:
            sql(deed)
        found = violations()
        transaction.set_rollback(True)
    return {name for name, count in found.items() if count}


def test_nothing_is_counted_while_nothing_is_wrong(rolled_back):
    assert not any(violations().values())
    run = under_way(rolled_back)
    assert not any(violations().values())
    cancel.request(lock_run(run.pk), by=SETUP, reason="enough")
    assert not any(violations().values())


def test_each_sentence_is_counted_once_somebody_makes_it_true(rolled_back):
    under_way(rolled_back)
    silent = {name for name, deed in DEEDS.items() if name not in after(*deed.split(";"))}
    assert silent == set()


def test_i4_a_step_that_was_started_after_the_run_was_to_stop(rolled_back):
    run = under_way(rolled_back)
    cancel.request(lock_run(run.pk), by=SETUP, reason="enough")
    started = record("step.running", of=None, subject=run.key, actor=SETUP)
    forged = f"""
        UPDATE audit_entry SET stream_version = 99, stream = (SELECT id FROM orchestration_step WHERE key = 'b')
         WHERE id = '{started.pk}'"""  # noqa: S608
    assert after() == set()
    assert after(forged) == {"I4_started_after_a_stop"}


def test_i11_what_may_be_repeated_is_not_counted(rolled_back):
    """Nor what a person let be repeated, nor what ended with a code after which nothing has happened."""
    again = step("again", effect="idempotent", retries=3)
    listed = step("listed", retries=2, retry_exit_codes=[7])
    asked = step("asked")
    run = rolled_back.run(again, listed, asked)
    one, two, three = run.steps.order_by("position")
    ended(holding(one), "failed", exit_code=1)
    ended(holding(two), "failed", exit_code=7)
    holding(three)
    vanish()
    reconcile()
    resolve(run.steps.get(key="asked"), "retry", reason="I looked: nothing happened.", by=rolled_back.witness)
    sql("UPDATE orchestration_step SET not_before = now() WHERE state = 'ready'")
    for key in ("again", "listed", "asked"):
        assert holding(run.steps.get(key=key)).attempt.number == 2
    assert not any(violations().values())
    assert after("UPDATE orchestration_stepattempt SET answer = ''") == {"I11_repeated_without_a_person"}
    assert after("UPDATE orchestration_stepattempt SET exit_code = 8") == {"I11_repeated_without_a_person"}


def test_every_sentence_is_described_and_has_a_deed_that_makes_it_true(rolled_back):
    told = set(re.findall(r"^\| `(I\d+_\w+)` \|", Path("docs/explanation/gate.md").read_text(), re.MULTILINE))
    elsewhere = {"I4_started_after_a_stop", "I14_emergency_without_review"}  # above, and in test_reviews.py
    assert set(violations()) == told == {*DEEDS, *elsewhere}
