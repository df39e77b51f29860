"""A run that is paused starts no further step, and goes on when somebody says so."""

from functools import partial

import pytest

from audit.refusals import MoveNotAllowed
from orchestration.engine import cancel, enrolled, pause, queue
from orchestration.engine.poll import _oldest_ready
from orchestration.engine.reconcile import redispatch
from orchestration.models import Run
from tests.orchestration.deeds import both, claimed, ended, holding, told
from tests.orchestration.world import states, step
from tests.races import Together, rounds


def test_what_runs_ends_and_nothing_new_starts_until_it_is_resumed(world):
    run = world.run(step("a"), step("b", needs=["a"]))
    held = holding(run.steps.get(key="a"))
    pause.pause(run, by=world.by, reason="Look first.")
    ended(held)
    assert states(run) == {"a": "succeeded", "b": "ready"}
    b = run.steps.get(key="b")
    assert claimed(b) is None
    assert (_oldest_ready(enrolled.this_host(), but=set()), redispatch()) == (None, 0)  # nobody asks in vain
    pause.resume(run, by=world.by)
    ended(holding(b))
    assert both(run) == ("succeeded", "succeeded")
    assert (told("run.paused"), told("run.resumed")) == (1, 1)


def test_a_run_that_has_not_started_is_paused_and_leaves_the_queue(world):
    first, second, third = (world.run(step("a"), lock="x") for _ in range(3))
    held = holding(first.steps.get())
    assert claimed(second.steps.get()) is None
    pause.pause(second, by=world.by)
    ended(held)
    holding(third.steps.get())
    line = queue.line(Run.objects.get(pk=third.pk))
    assert line is not None
    assert line.waiting == []


def test_what_is_over_or_not_paused_is_neither_paused_nor_resumed(world):
    run = world.run(step("a"))
    with pytest.raises(MoveNotAllowed):
        pause.resume(run, by=world.by)
    held = holding(run.steps.get())
    cancel.cancel(run, by=world.by)
    with pytest.raises(MoveNotAllowed):
        pause.pause(run, by=world.by)
    ended(held, "cancelled")
    with pytest.raises(MoveNotAllowed):
        pause.pause(run, by=world.by)


def test_pausing_twice_is_one_pause_and_a_paused_run_can_be_stopped(world):
    run = world.run(step("a"))
    for _ in range(2):
        pause.pause(run, by=world.by)
    assert told("run.paused") == 1
    cancel.cancel(run, by=world.by)
    assert states(run) == {"a": "cancelled"}


@pytest.mark.races
def test_a_pause_and_a_start_never_leave_a_step_that_starts_after_the_pause(world):
    pair = Together(2)
    try:
        for _ in rounds():
            run = world.run(step("a"))
            first = run.steps.get()
            _, held = pair.at_once(partial(pause.pause, run, by=world.by), partial(claimed, first))
            run.refresh_from_db()
            assert run.paused_at is not None
            assert (held is not None) == (run.started_at is not None)
            assert held is None or run.started_at < run.paused_at
    finally:
        pair.close()
