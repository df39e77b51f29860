"""The whole way at the service layer: asked, judged, signed off, claimed through the gate, run, completed, provable."""

import pytest

from accounts.acting import Acting
from approvals.models import Chain
from approvals.signoffs import NotInteractive, OwnChange
from audit.models import Entry
from audit.refusals import Invalid, MoveNotAllowed, NotAllowed, NotFound
from orchestration import asking, changes
from orchestration.models import Change, Run
from tests.orchestration.bank import Bank

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def bank():
    return Bank()


def test_a_change_is_asked_for_countersigned_twice_and_runs(bank):
    change = bank.change()
    assert change.key.startswith("CHG-")
    assert change.title == "Deploy payments-api 42 to production"
    assert {stage.name for stage in change.revision.chain.stages.all()} == {"Service owner", "Security"}
    bank.run()
    assert not Run.objects.exists()
    bank.say(change, "jonas", "Service owner")
    assert not Run.objects.exists()
    bank.say(change, "noor", "Security")
    run = Run.objects.get()
    bank.run()
    run.refresh_from_db()
    change.refresh_from_db()
    assert (run.state, change.state) == ("succeeded", "succeeded")
    log = [
        bytes(chunk.data or b"")
        for step in run.steps.all()
        for one in step.attempts.all()
        for chunk in one.chunks.all()
    ]
    assert log == [b"built 42\n", b"deployed 42\n"]
    kinds = list(Entry.objects.order_by("id").values_list("kind", flat=True))
    for kind in ("policy.decided", "chain.opened", "change.requested", "sign_off.given", "chain.completed",
                 "change.approved", "permit.issued", "run.running", "change.succeeded"):  # fmt: skip
        assert kind in kinds


def test_the_requester_cannot_approve_and_reads_why(bank):
    change = bank.change()
    with pytest.raises(OwnChange, match="You requested this change"):
        bank.say(change, "mara", "Service owner")


def test_a_token_never_signs_off(bank):
    change = bank.change()
    bank.people["jonas"] = Acting(bank.people["jonas"].user, "token")
    with pytest.raises(NotInteractive):
        bank.say(change, "jonas", "Service owner")


def test_an_outsider_finds_nothing(bank):
    with pytest.raises((NotFound, NotAllowed)):
        bank.ask("ivan")


def test_wrong_inputs_are_named_by_pointer(bank):
    with pytest.raises(Invalid) as refused:
        bank.ask(inputs={"version": "x"})
    assert refused.value.errors == [
        {"pointer": "/inputs/version", "detail": "Version does not have the expected form."}
    ]


def test_an_edit_voids_what_was_signed(bank):
    change = bank.change()
    bank.say(change, "jonas", "Service owner")
    old = asking.current_revision(Change.objects.get(pk=change.pk))
    asked = asking.ask_again(change, inputs={"version": "43"}, reason="Another.", by=bank.people["mara"])
    changes.revise(change, asked)
    assert Chain.objects.get(pk=old.chain_id).state == "void"
    bank.say(change, "noor", "Security")
    assert not Run.objects.exists()


def test_a_rejection_ends_it_and_a_withdrawn_change_cannot_be_decided(bank):
    change = bank.change()
    bank.say(change, "noor", "Security", "reject", comment="No.")
    change.refresh_from_db()
    assert change.state == "rejected"
    with pytest.raises(MoveNotAllowed):
        changes.withdraw(change, by=bank.people["mara"])


def test_a_sign_off_taken_back_before_the_start_keeps_it_from_starting(bank):
    change = bank.change()
    bank.say(change, "jonas", "Service owner")
    bank.say(change, "noor", "Security")
    change.refresh_from_db()
    mine = change.revision.chain.sign_offs.get(user=bank.people["noor"].user)
    changes.withdraw_sign_off(change, mine.pk, by=bank.people["noor"])
    bank.run()
    change.refresh_from_db()
    assert (change.state, Run.objects.get().state) == ("waiting", "ready")


def test_a_preview_names_who_could_agree_and_stores_nothing(bank):
    before = Entry.objects.count()
    found = asking.preview(workflow="deploy", service="payments-api", environment="production",
                           inputs={"version": "42"}, by=bank.people["mara"])  # fmt: skip
    assert found["allowed"]
    assert {one["stage"]: [who["name"] for who in one["people"]] for one in found["require"]} == {
        "Service owner": ["Jonas", "Lena"], "Security": ["Noor"],
    }  # fmt: skip
    assert Entry.objects.count() == before
