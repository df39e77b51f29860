"""The broker dies, hangs, forgets and swallows: what it carries is a hint, so the work only becomes later."""

import os
import shutil
import signal
from collections import Counter

import pytest

from tests.faults.many import approve_all
from tests.faults.product import all_end, family, lines, stopped, telling, without
from tests.stack import wait_for

pytestmark = pytest.mark.faults
APPROVED = int(os.environ.get("FAULT_ROUNDS", "12"))  # `make chaos` asks for the table's 50
SILENT = 10  # seconds without any message: beat sends one every five


def test_f06_changes_are_approved_and_run_while_the_broker_is_down(stack, sessions):
    """Over HTTP, with nobody there to take a message: no answer is late, none an error, and polling does the rest.

    Late is told against the same with a broker: a busy machine is no fault of anybody's.
    """
    cookies, witness = sessions
    numbers = [str(1000 + number) for number in range(APPROVED)]
    done = "SELECT count(*) FROM orchestration_change WHERE title ~ ' 1[0-9]{3} to ' AND state = 'succeeded'"
    usual = approve_all(stack.port, cookies, range(900, 904), clients=2)
    with without(stack, "valkey"):
        told = approve_all(stack.port, cookies, range(1000, 1000 + APPROVED), clients=2)
        assert told.repeated == 0
        assert told.slowest < 2 + usual.slowest
        wait_for(lambda: stack.query(done) == [(APPROVED,)], what=f"the end of all\n{stack.logs()}")
    seen = Counter(lines(witness))
    assert {one: seen[one] for one in numbers} == dict.fromkeys(numbers, 1)


def test_f06_a_broker_that_is_killed_under_load_costs_nothing(stack, ask, witness):
    runs = ask(telling("a", witness, 0.2), telling("b", witness, 0, needs=["a"]), count=5)["runs"]
    wait_for(witness.exists)
    stack.kill("valkey")
    runs += ask(telling("a", witness, 0), telling("b", witness, 0, needs=["a"]), count=5)["runs"]
    all_end(stack, runs)
    assert Counter(lines(witness)) == dict.fromkeys(("begin 1", "end 1"), 20)


def test_f07_a_broker_that_accepts_and_never_answers_is_given_up_and_holds_nobody_up(
    stack, ask, relay, witness
):
    relay.be("silent")
    asked = ask(telling("a", witness, 0), count=5)
    assert asked["slowest"] < 2
    all_end(stack, asked["runs"])
    wait_for(lambda: len(relay.waited) > 1, what="an end of patience")
    assert max(relay.waited) < 3 + 1  # the relay sees the end a moment later than the client
    assert Counter(lines(witness)) == dict.fromkeys(("begin 1", "end 1"), 5)


def test_f07_a_broker_that_stands_still_delays_nobody_and_loses_nothing(stack, ask, witness):
    with stopped(*family(stack, "valkey")):
        asked = ask(telling("a", witness, 0), count=5)
        assert asked["slowest"] < 2
        all_end(stack, asked["runs"])
    assert Counter(lines(witness)) == dict.fromkeys(("begin 1", "end 1"), 5)


def test_f08_a_broker_that_forgets_its_last_second_costs_a_poll(stack, ask, witness):
    """What it had stored is put back to what it was before the wake-ups came: they are gone, and nothing else."""
    kept, before = stack.layout.servers / "valkey" / "appendonlydir", stack.home / "before"
    shutil.rmtree(before, ignore_errors=True)
    with stopped(*family(stack, "worker")):  # nobody takes the messages before they are lost
        wait_for(lambda: shutil.copytree(kept, before, dirs_exist_ok=True))
        runs = ask(telling("a", witness, 0), count=5)["runs"]
        wait_for(lambda: b"orchestration.wake" in stored(kept), what="the messages in the broker's file")
        supervisor = stack.kill("supervisor", signal.SIGSTOP)
        try:
            stack.kill("valkey")
            shutil.rmtree(kept)
            shutil.copytree(before, kept)
            for path in (kept, *kept.iterdir()):
                os.chown(path, stack.layout.uid, stack.layout.uid)
        finally:
            os.kill(supervisor, signal.SIGCONT)
    all_end(stack, runs)
    assert Counter(lines(witness)) == dict.fromkeys(("begin 1", "end 1"), 5)


def test_f31_workers_that_are_connected_and_hear_nothing_work_all_the_same_and_it_is_seen(
    stack, ask, relay, witness
):
    """Each message leaves the broker and never arrives; the broker answers everything else."""
    wait_for(lambda: ask.do("silence")["seconds"] < SILENT, what="messages that arrive")
    relay.be("swallow")
    runs = ask(telling("a", witness, 0), telling("b", witness, 0, needs=["a"]), count=3)["runs"]
    all_end(stack, runs)
    assert Counter(lines(witness)) == dict.fromkeys(("begin 1", "end 1"), 6)
    wait_for(lambda: ask.do("silence")["seconds"] >= SILENT, what="a silence that is noticed")
    wait_for(lambda: relay.swallowed > 0, what="a message that a worker waited for")
    relay.be("pass")
    wait_for(lambda: ask.do("silence")["seconds"] < SILENT, seconds=60, what="messages that arrive again")


def stored(folder):
    return b"".join(path.read_bytes() for path in folder.glob("*.aof"))
