"""`up` as real processes: stops clean, survives the death of any of its children and its own."""

import signal
from pathlib import Path

import pytest

from tests.stack import Stack, wait_for

pytestmark = pytest.mark.faults


@pytest.fixture
def stack():
    stack = Stack(demo=False)
    stack.start()
    yield stack
    stack.stop()
    stack.remove()


def test_a_stop_leaves_no_process(stack):
    assert {"postgres", "valkey", "web", "worker", "beat", "sequencer"} <= set(stack.pids())
    stack.stop()
    assert stack.alive() == []


def test_whatever_is_killed_comes_back(stack):
    before = stack.pids()
    for name in before:
        stack.kill(name)
    after = wait_for(lambda: (now := stack.pids()) and all(now[name] != before[name] for name in now) and now)
    wait_for(lambda: all(Path(f"/proc/{pid}").exists() for pid in after.values()))
    assert wait_for(lambda: stack.query("SELECT 1")) == [(1,)]


def test_a_killed_supervisor_leaves_nothing_that_stops_the_next_start(stack):
    stack.kill("supervisor", signal.SIGKILL)
    stack.start()
    assert wait_for(lambda: stack.query("SELECT count(*) FROM django_migrations"))[0][0] > 0
