"""Planning again against whoever decides or starts at the same instant: nothing old is ever applied."""

from itertools import islice

import pytest

from audit.refusals import Refusal
from orchestration import planning
from orchestration.models import Run, Step
from tests.factories import Bank
from tests.orchestration.deeds import claimed, ended, holding
from tests.orchestration.planned import (
    FILES,
    PLANNED,
    applying,
    approved,
    asked,
    fresh,
    newest,
    now,
    planned,
    wait,
)
from tests.races import ROUNDS, Together, rounds

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.races]


def few():
    """A round here is a whole change, planned twice: a fifth of the rounds of the other races."""
    return islice(rounds(), max(3, ROUNDS // 5))


@pytest.fixture
def place(tmp_path):
    now(tmp_path, "version 41\n")
    return tmp_path


@pytest.fixture
def bank(place):
    return Bank(PLANNED, FILES)


@pytest.fixture
def pair():
    pair = Together(2)
    yield pair
    pair.close()


def found_otherwise(change, bank, number):
    """The plan steps looked again, and something else stands there; nobody has drawn the conclusion yet."""
    planning.again(change, by=bank.people["mara"])
    plan = newest(change)
    ended(holding(Step.objects.get(run__plan=plan)), artifacts={"next": f"other {number}".encode()})
    return plan


def test_what_was_found_anew_and_the_last_approval_never_leave_a_run_of_what_was_found_before(
    bank, place, pair
):
    for number in few():
        change = planned(bank, place)
        bank.say(change, "noor")
        plan = found_otherwise(change, bank, number)
        results = pair.at_once(
            lambda change=change: bank.say(change, "jonas"), lambda plan=plan: planning.settle(plan.pk)
        )
        planning.sweep()
        change = fresh(change)
        assert (change.state, change.revision.number, newest(change).outcome) == ("waiting", 2, "revised")
        assert not change.revision.chain.sign_offs.exists()
        assert {run.state for run in Run.objects.applying().filter(change=change)} <= {"cancelled"}
        assert isinstance(results[0], Refusal) != Run.objects.applying().filter(change=change).exists()


def test_what_was_found_anew_and_the_start_take_turns(bank, place, pair):
    for number in few():
        change = approved(bank, place)
        wait(change)
        plan = found_otherwise(change, bank, number)
        step = applying(change)
        Step.objects.filter(pk=step.pk).update(not_before="2000-01-01T00:00Z")
        held, _ = pair.at_once(lambda step=step: claimed(step), lambda plan=plan: planning.settle(plan.pk))
        planning.sweep()
        change = fresh(change)
        if held is None:
            assert (change.state, change.revision.number, newest(change).outcome) == ("waiting", 2, "revised")
            assert Run.objects.get(pk=step.run_id).state == "cancelled"
        else:
            assert held.attempt.plans == {"look": {"next": b"version 41\nversion 42\n"}}
            assert (change.state, change.revision.number, newest(change).outcome) == ("running", 1, "moot")
            ended(held)


def test_two_who_draw_the_conclusion_at_once_ask_everybody_once(bank, place, pair):
    for _ in few():
        change = asked(bank, place)
        plan = newest(change)
        ended(holding(Step.objects.get(run__plan=plan)), artifacts={"next": b"x"})
        results = pair.at_once(
            lambda plan=plan: planning.settle(plan.pk), lambda plan=plan: planning.settle(plan.pk)
        )
        assert results == [None, None]
        assert (fresh(change).state, fresh(change).revisions.count()) == ("waiting", 1)
        assert newest(change).outcome == "revised"


def test_two_who_plan_again_at_once_make_one_plan(bank, place, pair):
    for _ in few():
        change = planned(bank, place)
        results = pair.at_once(
            lambda change=change: planning.again(change, by=bank.people["mara"]),
            lambda change=change: planning.again(change, by=bank.people["noor"]),
        )
        assert sum(isinstance(one, Refusal) for one in results) == 1
        assert fresh(change).plans.count() == 2
        ended(holding(Step.objects.get(run__plan=newest(change))), artifacts={"next": b"x"})
        planning.sweep()
