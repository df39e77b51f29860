"""Group G, evidence: nothing happens that the ledger could not write down, and what was refused is written down too.

What an insider does to the ledger itself is in tests/audit/test_insider.py.
"""

import contextlib

import pytest
from django.db import IntegrityError, connection

from approvals.models import Permit, SignOff
from audit.models import Entry
from orchestration.engine.claim import claim
from orchestration.models import Step, StepAttempt
from tests.abuse.attack import state, was_refused
from tests.orchestration.deeds import known


@contextlib.contextmanager
def ledger_takes_nothing():
    """No entry can be written: the table itself refuses each."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_entry ADD CONSTRAINT full_up CHECK (false) NOT VALID")
        try:
            yield
        finally:
            cursor.execute("ALTER TABLE audit_entry DROP CONSTRAINT full_up")


def test_g02_a_decision_that_the_ledger_cannot_take_was_never_made(case):
    change, jonas = case.asked(), case.at["jonas"].client
    before = Entry.objects.count()
    jonas.raise_request_exception = False
    with ledger_takes_nothing():
        assert case.says("jonas", change).status_code == 500
        assert not SignOff.objects.exists()
    assert (state(change), Entry.objects.count()) == ("waiting", before)
    assert case.says("jonas", change).status_code == 201


def test_g02_nothing_starts_while_the_ledger_takes_nothing(case):
    case.approved()
    step, worker = Step.objects.filter(state="ready").earliest("id"), known()
    with ledger_takes_nothing(), pytest.raises(IntegrityError, match="full_up"):
        claim(step.pk, boot_id=worker)
    assert not StepAttempt.objects.exists()
    assert not Permit.objects.exists()
    assert claim(step.pk, boot_id=worker) is not None


def test_g03_each_refused_attempt_is_one_entry_though_what_was_tried_is_rolled_back(case):
    change = case.asked()
    tried = [
        ("mara", {}),  # asked for it
        ("noor", {"at_stage": "Service owner"}),  # is not asked there
        ("jonas", {"digest": "sha256:" + "0" * 64}),  # read something else
        ("jonas", {"chain_digest": "sha256:" + "0" * 64}),
    ]
    for who, changed in tried:
        before = Entry.objects.count()
        answer = case.says(who, change, **changed)
        assert 400 <= answer.status_code < 500, answer.content
        was_refused(answer.json()["code"], case.at[who].user)
        assert Entry.objects.count() == before + 1, (who, changed)
    assert not SignOff.objects.exists()
