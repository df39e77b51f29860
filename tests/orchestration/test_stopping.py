"""One person stops what starts, at once; others have to agree before it starts again."""

from functools import partial
from typing import Any

import pytest
from django.db import transaction

from accounts import permissions
from accounts.acting import Acting
from approvals import gate, switches
from audit.models import Entry
from audit.refusals import Invalid, NotAllowed
from orchestration import changes, stopping
from orchestration.engine import halt
from orchestration.engine.reconcile import reconcile
from tests.approvals.cast import complete, start
from tests.factories import TEST
from tests.orchestration.deeds import claimed, ended, holding, told
from tests.orchestration.test_governed import agree, ask, bank, node, run
from tests.orchestration.world import step
from tests.races import Together, rounds

pytestmark = pytest.mark.django_db(transaction=True)
__all__ = ["bank", "node"]
C = changes.C


def thrown(world, **more):
    given = {"environment": "production", "action": "*", "hard": False, "reason": "It burns.", **more}
    return stopping.throw(**given, by=Acting(world.bank.admin, "session"))


def test_i4_nothing_starts_where_a_switch_is_thrown_neither_a_run_nor_its_next_step(world):
    under_way = world.run(step("a"), step("b", needs=["a"]))
    held = holding(under_way.steps.get(key="a"))
    thrown(world)
    assert claimed(world.run(step("a")).steps.get()) is None
    ended(held)  # what ran goes on to its end
    assert claimed(under_way.steps.get(key="b")) is None
    assert "No step starts in production" in under_way.steps.get(key="b").held_reason


def test_a_switch_of_one_action_or_of_elsewhere_leaves_the_rest_alone(world):
    thrown(world, action="http")
    switches.throw(environment="staging", action="*", hard=False, reason="There.", by=TEST)
    holding(world.run(step("a")).steps.get())
    thrown(world, action="wait")
    assert claimed(world.run(step("a")).steps.get()) is None


def test_an_emergency_does_not_open_a_kill_switch(world):
    chain = complete(world.bank)
    thrown(world)
    with pytest.raises(switches.KillSwitchThrown, match="It burns"), transaction.atomic():
        gate.authorise(start(chain, emergency=True))


def test_a_hard_one_stops_what_runs_and_the_reconciler_sees_to_what_was_missed(world):
    here, other = world.run(step("a")), world.run(step("a", uses="command"))
    held = holding(here.steps.get())
    holding(other.steps.get())
    thrown(world, action="wait", hard=True)
    here.refresh_from_db()
    other.refresh_from_db()
    assert here.cancel_requested_at is not None
    assert other.cancel_requested_at is None
    ended(held, "cancelled")
    switches.throw(environment="*", action="command", hard=True, reason="All of it.", by=TEST)
    assert list(halt.halted()) == [other]  # as if who threw it had died in between
    assert reconcile()["halted"] == 1
    assert list(halt.halted()) == []


def test_whoever_may_operate_the_place_throws_it_and_nobody_else(world):
    given: dict[str, Any] = {
        "environment": "production", "action": "*", "hard": False, "reason": "It burns.",
    }  # fmt: skip
    with pytest.raises(NotAllowed):
        stopping.throw(**given, by=Acting(world.bank.omar, "session"))
    permissions.grant(world.service.owner, "operate", world.environment, by=TEST)
    assert stopping.throw(**given, by=Acting(world.bank.omar, "session")).lifted_at is None
    with pytest.raises(NotAllowed):
        stopping.throw(**{**given, "environment": "*"}, by=Acting(world.bank.omar, "session"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"environment": "prodution"},
        {"action": "htp"},
        {"action": "govern"},
        {"environment": "control-room"},
        {"reason": " "},
    ],
)
def test_a_switch_that_would_stop_nothing_or_could_not_be_lifted_is_refused(world, wrong):
    with pytest.raises(Invalid):
        thrown(world, **wrong)
    assert not switches.standing().exists()


def test_throwing_it_twice_is_one_switch(world):
    assert thrown(world) == thrown(world)
    assert told("kill_switch.thrown") == 1


def test_it_is_lifted_in_the_control_room_when_others_agree_and_the_switch_of_everything_does_not_reach_there(
    bank, node
):
    by = bank.people["sam"]
    switch = stopping.throw(environment="*", action="*", hard=False, reason="It burns.", by=by)
    change = ask(bank, "kill-switch-lift", kill_switch=switch.key)
    agree(change, bank, "sam", "noor")
    assert run(change, node).state == C.SUCCEEDED
    assert not switches.standing().exists()
    assert Entry.objects.get(kind="kill_switch.lifted").actor == f"change:{change.key}"


@pytest.mark.races
def test_once_a_switch_is_thrown_no_start_that_looked_before_follows(world):
    pair = Together(2)
    try:
        for _ in rounds():
            one = world.run(step("a"))
            first = one.steps.get()
            made, held = pair.at_once(partial(thrown, world), partial(claimed, first))
            if held is not None:
                started = Entry.objects.get(kind="step.running", subject=one.key).occurred_at
                assert started < Entry.objects.get(stream=made.pk).occurred_at
            switches.lift(made, by=TEST)
    finally:
        pair.close()
