"""The tables of moves are the machine: what they do not name does not happen."""

from itertools import product
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from audit.models import Entry
from audit.refusals import MoveNotAllowed, StaleVersion
from orchestration import lifecycle
from orchestration.lifecycle import MOVES, RUN_MOVES, STEP_MOVES
from orchestration.models import Change, Run, Step
from tests.orchestration.world import SETUP, step, walked

C, R, S = Change.State, Run.State, Step.State


def illegal(states, moves):
    """By state: all that its row in the table does not name."""
    pairs = [(was, to) for was, to in product(states, states) if to not in moves.get(was, ())]
    return [(was, [to for seen, to in pairs if seen == was]) for was in states]


def move_change(row, to):
    lifecycle.move(row, to, by=SETUP)


def move_run(row, to):
    lifecycle.move_run(row, to, by=SETUP)


def move_step(row, to):
    """A running step has a worker; an attempt is counted."""
    leased = {"lease_owner": uuid4(), "lease_until": Now(), "attempt": row.attempt + 1, "max_attempts": 9}
    lifecycle.move_step(row, to, by=SETUP, columns=leased if to == S.RUNNING else {})


@pytest.mark.parametrize(("was", "refused"), illegal(C, MOVES))
def test_a_change_makes_no_move_that_the_table_does_not_name(rolled_back, was, refused):
    with transaction.atomic():
        change = rolled_back.draft()
        walked(change, was, MOVES, move_change)
        for to in refused:
            with pytest.raises(MoveNotAllowed):
                move_change(change, to)
    assert Change.objects.get(pk=change.pk).state == was


@pytest.mark.parametrize(("was", "refused"), illegal(R, RUN_MOVES))
def test_a_run_makes_no_move_that_the_table_does_not_name(rolled_back, was, refused):
    run = rolled_back.run(step("a"))
    with transaction.atomic():
        walked(run, was, RUN_MOVES, move_run)
        for to in refused:
            with pytest.raises(MoveNotAllowed):
                move_run(run, to)
    assert Run.objects.get(pk=run.pk).state == was


@pytest.mark.parametrize(("was", "refused"), [one for one in illegal(S, STEP_MOVES) if one[0] != S.BLOCKED])
def test_a_step_makes_no_move_that_the_table_does_not_name(rolled_back, was, refused):
    one = rolled_back.run(step("a"), step("b", needs=["a"])).steps.get(key="b")
    with transaction.atomic():
        walked(one, was, STEP_MOVES, move_step)
        for to in refused:
            with pytest.raises(MoveNotAllowed):
                move_step(one, to)
    assert Step.objects.get(pk=one.pk).state == was


def test_every_state_can_be_reached_and_every_state_that_is_not_terminal_can_be_left():
    machines: Any = ((C, MOVES, C.DRAFT), (R, RUN_MOVES, R.READY), (S, STEP_MOVES, S.BLOCKED))
    for states, moves, first in machines:
        reached = {first}.union(*moves.values())
        assert reached == set(states)
        assert {state for state in states if not moves.get(state)} == {*states} - {*moves}


def test_the_version_guards_even_when_the_state_came_back(world):
    with transaction.atomic():
        seen = world.draft()
        move_change(seen, C.WAITING)
        other = Change.objects.get(pk=seen.pk)
        move_change(other, C.SENT_BACK)
        move_change(other, C.WAITING)  # A -> B -> A: the state is what was seen, the version is not
        with pytest.raises(StaleVersion):
            move_change(seen, C.WITHDRAWN)
        with pytest.raises(StaleVersion):
            lifecycle.touch(seen, "change.revised", by=SETUP)
    assert Change.objects.get(pk=seen.pk).state == C.WAITING


def test_the_state_guards_on_its_own(world):
    """Even with the version that is in the database, a state seen wrongly writes nothing."""
    with transaction.atomic():
        change = world.draft()
        change.state = C.APPROVED
        with pytest.raises(StaleVersion):
            move_change(change, C.REJECTED)


def test_a_step_moves_only_for_the_attempt_and_the_owner_that_the_guard_names(world):
    one = world.run(step("a")).steps.get()
    with transaction.atomic():
        move_step(one, S.RUNNING)
        for guard in ({"attempt": one.attempt + 1}, {"lease_owner": uuid4()}):
            with pytest.raises(StaleVersion):
                lifecycle.move_step(one, S.SUCCEEDED, by=SETUP, guard=guard)
        lifecycle.move_step(one, S.SUCCEEDED, by=SETUP, guard={"lease_owner": one.lease_owner})
    assert Step.objects.get(pk=one.pk).state == S.SUCCEEDED


def test_each_move_has_exactly_one_entry_that_names_where_it_came_from(world):
    with transaction.atomic():
        change = world.draft()
        move_change(change, C.WAITING)
        lifecycle.touch(change, "change.revised", by=SETUP)
        move_change(change, C.WITHDRAWN)
    told = list(Entry.objects.filter(stream=change.pk).order_by("stream_version"))
    assert [entry.kind for entry in told] == [
        "change.requested",
        "change.waiting",
        "change.revised",
        "change.withdrawn",
    ]
    assert b'"was":"waiting"' in bytes(told[-1].body)
    assert Change.objects.get(pk=change.pk).event_seq == 3


def test_a_state_written_without_an_entry_does_not_survive_the_commit(world):
    with transaction.atomic():
        change = world.draft()
    with pytest.raises(IntegrityError, match="has_entry"), transaction.atomic():
        Change.objects.filter(pk=change.pk).update(state=C.APPROVED, version=change.version + 1)


def test_the_database_knows_every_state_and_no_other():
    machines: Any = ((Change, C), (Run, R), (Step, S))
    for model, states in machines:
        name = f"{model.__name__.lower()}_state_known"
        check = next(one for one in model._meta.constraints if one.name == name)
        assert set(dict(check.condition.children)["state__in"]) == {state.value for state in states}
