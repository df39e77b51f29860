"""Two people at the same instant, many times: one clear result, and never a start that was not agreed to."""

import pytest

from approvals.models import SignOff
from audit.models import Entry
from audit.refusals import Refusal
from orchestration import asking, changes
from orchestration.models import Change, Run
from tests.orchestration.bank import Bank
from tests.races import Together, rounds

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.races]


@pytest.fixture
def bank():
    return Bank()


@pytest.fixture
def pair():
    pair = Together(2)
    yield pair
    pair.close()


def settled(change):
    change = Change.objects.select_related("revision__chain").get(pk=change.pk)
    return change, list(Run.objects.filter(change=change))


def refused(results):
    return [one for one in results if isinstance(one, Refusal)]


def test_two_approvers_of_a_quorum_of_one_make_one_run(bank, pair):
    for _ in rounds():
        change = bank.change()
        bank.say(change, "noor", "Security")
        results = pair.at_once(
            lambda change=change: bank.say(change, "jonas", "Service owner"),
            lambda change=change: bank.say(change, "lena", "Service owner"),
        )
        change, runs = settled(change)
        assert (change.state, len(runs)) == ("approved", 1)
        assert len(refused(results)) == 1
        assert Entry.objects.filter(kind="change.approved", subject=change.key).count() == 1


def test_two_approvers_of_a_quorum_of_two_both_count_and_make_one_run(bank, pair):
    for _ in rounds():
        asked = bank.ask()
        for demand in asked.decision.output["require"]:
            demand["quorum"] = 2 if demand["stage"] == "Service owner" else 1
        change = changes.request_change(asked)
        bank.say(change, "noor", "Security")
        results = pair.at_once(
            lambda change=change: bank.say(change, "jonas", "Service owner"),
            lambda change=change: bank.say(change, "lena", "Service owner"),
        )
        change, runs = settled(change)
        assert (change.state, len(runs), refused(results)) == ("approved", 1, [])
        assert SignOff.objects.filter(chain=change.revision.chain, withdrawn_at=None).count() == 3


def test_approve_and_reject_never_both_stand(bank, pair):
    for _ in rounds():
        change = bank.change()
        bank.say(change, "noor", "Security")
        results = pair.at_once(
            lambda change=change: bank.say(change, "jonas", "Service owner"),
            lambda change=change: bank.say(change, "lena", "Service owner", "reject", comment="No."),
        )
        change, runs = settled(change)
        assert len(refused(results)) == 1
        assert (change.state, len(runs)) in {("approved", 1), ("rejected", 0)}


def test_a07_an_edit_and_an_approval_never_leave_a_run_of_the_old_content(bank, pair):
    for _ in rounds():
        change = bank.change()
        bank.say(change, "noor", "Security")
        asked = asking.ask_again(change, inputs={"version": "43"}, reason="Again.", by=bank.people["mara"])
        results = pair.at_once(
            lambda change=change: bank.say(change, "jonas", "Service owner"),
            lambda change=change, asked=asked: changes.revise(change, asked),
        )
        change, runs = settled(change)
        assert (change.state, change.revision.number) == ("waiting", 2)
        assert all(run.state == "cancelled" for run in runs)
        assert len(runs) == 1 - len(refused(results))
        assert not change.revision.chain.sign_offs.exists()


def test_one_person_who_approves_twice_at_once_counts_once(bank, pair):
    for _ in rounds():
        change = bank.change()
        results = pair.at_once(
            lambda change=change: bank.say(change, "jonas", "Service owner"),
            lambda change=change: bank.say(change, "jonas", "Service owner"),
        )
        change, runs = settled(change)
        assert (change.state, runs, len(refused(results))) == ("waiting", [], 1)
        assert change.revision.chain.sign_offs.count() == 1
