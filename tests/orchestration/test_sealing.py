"""Where policy says `sealed`, a decision is answered and a run started only once the log holds it."""

import contextlib
import threading
import time

import pytest
from django.db import connection, transaction
from django.db.models.functions import Now

from approvals import known, sealing
from approvals.models import Permit, SignOff
from approvals.policy import bundles
from audit.ledger import checkpoint
from audit.ledger import sequencer as sequencing
from audit.models import Entry, Leaf
from orchestration import changes
from orchestration.engine.nodes import Node
from orchestration.engine.work import work
from orchestration.models import Change, Step, StepAttempt
from tests import kept
from tests.approvals.cast import STARTER, TEST, sql
from tests.audit import insider
from tests.audit.log import as_insider, newest, sequence
from tests.browser import Browser
from tests.factories import Bank

pytestmark = pytest.mark.django_db(transaction=True)


class Sealed:
    """A bank whose Security signs what is sealed, and a change that its owner has agreed to."""

    def __init__(self):
        kept.begin(self, Sealed, self._build)

    def _build(self):
        self.bank = Bank()
        sources = {path.name: path.read_text() for path in STARTER.glob("*.rego")}
        head, found, tail = sources["production.rego"].partition('"stage": "Security",')
        sources["production.rego"] = f'{head}{found}\n\t"sealed": true,{tail}'
        bundles.activate(bundles.examine(sources), source="sealed", by=TEST)
        self.change = self.bank.change()
        self.bank.say(self.change, "jonas")
        sequence()


@pytest.fixture
def there(monkeypatch):
    for name in ("ANSWER_SECONDS", "START_SECONDS", "PERMIT_SECONDS"):
        monkeypatch.setattr(sealing, name, 0.1)
    return Sealed()


@pytest.fixture
def node():
    one = Node()
    one.register()
    yield one
    one.stop()


@contextlib.contextmanager
def leading(monkeypatch):
    """A sequencer that leads beside the test, and signs without a pause."""
    monkeypatch.setattr(sequencing, "SIGN_SECONDS", 0.0)
    for name in ("ANSWER_SECONDS", "START_SECONDS", "PERMIT_SECONDS"):
        monkeypatch.setattr(sealing, name, 10.0)
    stop, signer = threading.Event(), checkpoint.keeper()
    signer.forget()  # whatever an earlier test has had signed

    def lead():
        try:
            one = sequencing.Sequencer.start(signer.answer)
            while not stop.wait(0.01):
                one.step(now=time.monotonic())
        finally:
            connection.close()

    thread = threading.Thread(target=lead)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def is_sealed(kind):
    """Whether the newest checkpoint covers the newest entry of this kind."""
    return Leaf.objects.get(entry=Entry.objects.filter(kind=kind).latest("id")).index < newest().size


def only_step():
    return Step.objects.get()


def agreed(there):
    """Security agreed too, without an answer, and it was sealed afterwards."""
    with pytest.raises(sealing.NotSealedYet):
        there.bank.say(there.change, "noor")
    sequence()


def tried(node):
    """What a worker said about the one step when it looked at it."""
    Step.objects.update(not_before=Now())
    work(only_step().pk, node=node)
    return only_step().held_reason


# --- answers ---------------------------------------------------------------------------------------------------------


def test_a_decision_is_answered_once_a_signed_checkpoint_covers_it(there, monkeypatch):
    with leading(monkeypatch):
        there.bank.say(there.change, "noor")
        assert is_sealed("sign_off.given")
        changes.withdraw_sign_off(
            there.change, SignOff.objects.latest("given_at").pk, by=there.bank.people["noor"]
        )
        assert is_sealed("sign_off.withdrawn")


def test_a_decision_that_nobody_seals_is_stored_and_not_answered(there):
    browser, stage = Browser(there.bank, "noor"), there.change.revision.chain.stages.get(name="Security")
    said = {
        "stage": str(stage.pk), "decision": "approve", "digest": there.change.revision.digest,
        "chain_digest": there.change.revision.chain.digest,
    }  # fmt: skip
    for _ in range(2):  # the second asks with the same key, and gets no answer that was kept
        answer = browser.post(f"changes/{there.change.key}/sign-offs/", said, key="k")
        assert (answer.status_code, answer.json()["code"]) == (503, "not_sealed_yet"), answer.content
    assert SignOff.objects.filter(stage=stage).count() == 1
    assert Change.objects.get(pk=there.change.pk).state == "approved"
    sequence()
    answer = browser.post(f"changes/{there.change.key}/sign-offs/", said, key="k")
    assert (answer.status_code, answer.json()["state"]) == (201, "approved")


def test_a_stage_that_says_nothing_is_answered_at_once(there):
    other = there.bank.change()
    there.bank.say(other, "jonas")
    assert not Leaf.objects.filter(entry=Entry.objects.filter(kind="sign_off.given").latest("id")).exists()


def test_a_start_that_somebody_asks_for_is_answered_like_a_decision(there):
    agreed(there)
    with pytest.raises(sealing.NotSealedYet):
        changes.start(there.change, by=there.bank.people["jonas"])


def test_waiting_in_a_transaction_is_a_mistake_and_never_a_deadlock(there):
    sign_off = SignOff.objects.filter(stage__chain__stages__sealed=True)[:1]
    stage = there.change.revision.chain.stages.get(name="Service owner")
    type(stage).objects.filter(pk=stage.pk).update(sealed=True)
    with transaction.atomic(), pytest.raises(RuntimeError, match="wait after the transaction"):
        sealing.settle(SignOff.objects.filter(pk__in=[one.pk for one in sign_off]))


# --- starts ----------------------------------------------------------------------------------------------------------


def test_the_gate_counts_no_approval_before_it_is_sealed_and_the_run_goes_its_way_after(
    there, node, monkeypatch
):
    with pytest.raises(sealing.NotSealedYet):
        there.bank.say(there.change, "noor")
    assert "signed off, but not sealed yet" in tried(node)
    assert not StepAttempt.objects.exists()
    with leading(monkeypatch):
        tried(node)
        assert is_sealed("permit.issued")
    assert Change.objects.get(pk=there.change.pk).state == "succeeded"


def test_nothing_is_run_under_a_permit_that_nobody_seals(there, node):
    agreed(there)
    tried(node)
    assert Permit.objects.count() == 1
    attempt = StepAttempt.objects.get()
    assert (attempt.outcome, "nothing was run" in attempt.reason) == ("failed", True)


def test_an_approval_whose_entry_was_held_back_starts_nothing_ever(there, node):
    with pytest.raises(sealing.NotSealedYet):
        there.bank.say(there.change, "noor")
    insider.forget(Entry.objects.filter(kind="sign_off.given").latest("id"))
    sequence()
    assert "not sealed yet" in tried(node)
    assert not Permit.objects.exists()


def test_an_entry_that_tells_of_another_sign_off_is_no_proof(there, node):
    agreed(there)
    other = Entry.objects.filter(kind="sign_off.given").earliest("id")
    newest_one = Entry.objects.filter(kind="sign_off.given").latest("id")
    as_insider("UPDATE audit_entry SET stream = %s WHERE id = %s", other.pk, newest_one.pk)
    as_insider("UPDATE audit_entry SET stream = %s WHERE id = %s", newest_one.stream, other.pk)
    assert "another sign-off" in tried(node)


@pytest.mark.parametrize("ahead", [0, 50])
def test_a_log_that_does_not_begin_with_the_one_that_workers_saw_starts_nothing(there, node, ahead):
    agreed(there)
    known.see_log(newest().size + ahead, bytes(32))
    assert "does not begin with the" in tried(node)
    assert not Permit.objects.exists()


def test_what_workers_accepted_is_remembered_and_grows(there, node, monkeypatch):
    agreed(there)
    assert known.log() is None
    with leading(monkeypatch):
        tried(node)
    size, root = known.log() or (0, b"")
    assert size > 0
    known.see_log(size - 1, bytes(32))
    assert known.log() == (size, root)


def test_the_demand_is_covered_by_the_signature_of_the_chain(there, node):
    agreed(there)
    sql("UPDATE approvals_stage SET sealed = false")
    assert "was altered after it was opened" in tried(node)
