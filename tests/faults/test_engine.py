"""Real processes, really killed: accepted work is never lost, and never done twice in secret."""

import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.faults.product import telling
from tests.stack import Stack, wait_for

pytestmark = pytest.mark.faults


def state(stack: Stack, run: str) -> Any:
    return stack.query("SELECT state FROM orchestration_run WHERE id = %s", run)[0][0]


def ends(stack: Stack, run: str, wanted: str, *, seconds: float = 60) -> None:
    wait_for(lambda: state(stack, run) == wanted, seconds=seconds, what=f"run {run} {wanted}\n{stack.logs()}")


def begun(witness: Path, attempt: int):
    return lambda: witness.exists() and f"begin {attempt}" in witness.read_text()


def kill_workers(stack: Stack) -> None:
    """The whole worker at once, as a machine that loses power; what its steps left is the kernel's to end."""
    main = psutil.Process(stack.pids()["worker"])
    for process in [main, *main.children(recursive=True)]:
        process.kill()


def test_a_worker_killed_in_the_middle_of_a_repeatable_step_costs_one_attempt(stack, ask, witness):
    run = ask(telling("a", witness, 3, effect="idempotent"))["runs"][0]
    wait_for(begun(witness, 1))
    kill_workers(stack)
    ends(stack, run, "succeeded")
    assert witness.read_text().split("\n")[:3] == ["begin 1", "begin 2", "end 2"]


def test_a_worker_killed_in_the_middle_of_a_step_that_may_not_be_repeated_leaves_a_question(
    stack, ask, witness
):
    run = ask(telling("a", witness, 2))["runs"][0]
    wait_for(begun(witness, 1))
    kill_workers(stack)
    ends(stack, run, "unknown")
    assert witness.read_text() == "begin 1\n"


def test_a_worker_killed_behind_the_effect_of_a_reconcilable_step_does_not_cost_a_second_one(
    stack, ask, witness
):
    pay = f'echo "begin $STEP_ATTEMPT paid $IDEMPOTENCY_KEY" >> {witness}; sleep 60'
    look = (
        f'echo "look $STEP_ATTEMPT $IDEMPOTENCY_KEY" >> {witness}; grep -q "paid $IDEMPOTENCY_KEY" {witness}'
    )
    check = {"argv": ["/bin/sh", "-c", look], "timeout_seconds": 20}
    one = {"key": "a", "uses": "command", "with": {"argv": ["/bin/sh", "-c", pay]}}
    run = ask({**one, "effect": "reconcilable", "check": check})["runs"][0]
    wait_for(begun(witness, 1))
    kill_workers(stack)
    ends(stack, run, "succeeded")
    first, second = [line.split() for line in witness.read_text().splitlines()]
    assert (first[:3], second[:2]) == (["begin", "1", "paid"], ["look", "2"])
    assert first[-1] == second[-1]  # the same key in both attempts


def test_a_broker_that_hangs_delays_nobody_and_loses_nothing(stack, ask, witness):
    pid = stack.kill("valkey", signal.SIGSTOP)
    try:
        asked = ask(telling("a", witness, 0), count=20)
        assert asked["slowest"] < 2
        for run in asked["runs"]:
            ends(stack, run, "succeeded")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert Counter(witness.read_text().split("\n"))["begin 1"] == 20


def test_a_database_that_restarts_in_the_middle_of_a_step_costs_nothing(stack, ask, witness):
    run = ask(telling("a", witness, 3), telling("b", witness, 0, needs=["a"]))["runs"][0]
    wait_for(begun(witness, 1))
    stack.kill("postgres", signal.SIGINT)
    ends(stack, run, "succeeded")
    assert witness.read_text() == "begin 1\nend 1\nbegin 1\nend 1\n"


def test_after_all_that_no_invariant_is_broken_and_no_process_is_left_over(stack):
    running_steps = "SELECT count(*) FROM orchestration_step WHERE state = 'running'"
    wait_for(lambda: stack.query(running_steps) == [(0,)])
    wrong = "SELECT count(*) FROM orchestration_step AS s WHERE attempt <> (SELECT count(*) FROM"
    wrong += " orchestration_stepattempt AS a WHERE a.step_id = s.id)"
    assert stack.query(wrong) == [(0,)]
    sleeping = [
        one for one in psutil.process_iter(["cmdline"]) if "$STEP_ATTEMPT" in str(one.info["cmdline"])
    ]
    assert sleeping == []
