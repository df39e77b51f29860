"""The web process, the broker, the database and the supervisor, each killed while changes are under way.

What was accepted is done, once; a file outside the product is the witness. At the end the ledger verifies.
"""

import json
import os
import signal
import subprocess
import sys
from collections import Counter

import pytest

from tests.faults.product import environment, manage, telling
from tests.stack import ROOT, running, wait_for

pytestmark = pytest.mark.faults
UNTOLD = {"COUNTERSIGN_FAILPOINT": "dispatch.before_wake"}  # committed, and nobody was told of it


def end(stack, runs, *, seconds=60):
    """Until each of them has succeeded."""
    left = "SELECT count(*) FROM orchestration_run WHERE id = ANY(%s::uuid[]) AND state <> 'succeeded'"
    wait_for(
        lambda: stack.query(left, runs) == [(0,)], seconds=seconds, what=f"the end of all\n{stack.logs()}"
    )


def test_a_database_that_is_killed_under_load_loses_and_doubles_nothing(stack, ask, witness):
    runs = ask(telling("a", witness, 1), telling("b", witness, 0, needs=["a"]), count=4)["runs"]
    wait_for(witness.exists)
    stack.kill("postgres")
    end(stack, runs)
    assert Counter(witness.read_text().splitlines()) == dict.fromkeys(("begin 1", "end 1"), 8)


def test_a_web_process_that_is_killed_answers_again(stack):
    stack.kill("web")
    wait_for(stack.answers)


def test_a_supervisor_that_is_killed_takes_all_with_it_and_the_next_start_goes_on(stack, ask, witness):
    runs = ask(telling("a", witness, 2, effect="idempotent"), telling("b", witness, 0, needs=["a"]))["runs"]
    wait_for(witness.exists)
    stack.kill("supervisor")
    stack.start()
    end(stack, runs)
    told = ["begin 1", "begin 2", "end 2", "begin 1", "end 1"]
    assert witness.read_text().splitlines() == told, (
        "the first step was repeated, which it allows; the second was not"
    )


def test_after_all_that_the_ledger_verifies(stack):
    wait_for(lambda: stack.query("SELECT count(*) FROM audit_pending") == [(0,)], what="an empty queue")
    code, said, wrong = manage(stack, "ledger", "verify", "--json")
    assert (code, json.loads(said)["findings"]) == (0, []), wrong


def test_a_web_process_that_dies_between_the_commit_and_the_wake_up_costs_a_poll(swift, witness):
    """The approval is sent over HTTP; the process that stored it tells no worker, ever."""
    with running(demo=False, env={**swift, **UNTOLD}) as stack:
        web = stack.pids()["web"]
        argv = [sys.executable, "-m", "tests.faults.many", str(stack.port), "1", str(witness)]
        told = subprocess.run(
            argv, env=environment(stack), cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert told.returncode == 0, told.stderr[-2000:]
        runs = [str(row[0]) for row in stack.query("SELECT id FROM orchestration_run")]
        assert len(runs) == 1
        end(stack, runs)
        assert witness.read_text() == "0\n"
        wait_for(lambda: stack.pids()["web"] != web, what="another web process")
        with pytest.raises(ProcessLookupError):
            os.kill(web, signal.SIGCONT)
