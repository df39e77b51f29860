"""The ledger of a whole product whose sequencer and database are killed under load: nothing lost, nothing exchanged."""

import json
import subprocess
import sys
import time
import urllib.request
from random import Random
from uuid import uuid4

import pytest

import audit.verify
from tests.faults.product import environment, manage
from tests.faults.writers import EACH, WRITERS
from tests.stack import ROOT, running, wait_for

pytestmark = pytest.mark.faults
ROUNDS = 5


def read(stack, path):
    with urllib.request.urlopen(f"{stack.url}{path}", timeout=10) as answer:  # noqa: S310 - our own server
        return answer.read().decode()


def size(stack):
    return stack.query("SELECT coalesce(max(size), 0) FROM audit_checkpoint")[0][0]


def grows(stack):
    """Whether a larger checkpoint gets signed from here on."""
    (before,) = wait_for(lambda: (size(stack),), what="an answer of the database")
    wait_for(lambda: size(stack) > before, what="a new checkpoint")


def kill_at_random_points(stack, kept):
    """Kill the sequencer again and again, and the database in the middle; keep each checkpoint that was shown."""
    random = Random(11)  # noqa: S311
    for number in range(ROUNDS):
        grows(stack)
        kept.append(read(stack, "/audit/log/checkpoint"))
        time.sleep(random.random() * 0.5)
        stack.kill("postgres" if number == ROUNDS // 2 else "sequencer")
    grows(stack)


def test_what_was_committed_is_in_the_log_once_and_each_checkpoint_that_was_seen_still_holds(tmp_path):
    kept: list[str] = []
    with running(demo=False) as stack:
        argv = [sys.executable, "-m", "tests.faults.act"]
        with (tmp_path / "promised").open("wb") as promised:
            actor = subprocess.Popen(argv, env=environment(stack), cwd=ROOT, stdout=promised)
            try:
                kill_at_random_points(stack, kept)
            finally:
                actor.kill()
                actor.wait()
        wait_for(lambda: stack.query("SELECT count(*) FROM audit_pending") == [(0,)], what="an empty queue")
        grown = stack.query("SELECT size FROM audit_head")[0][0]
        wait_for(lambda: size(stack) >= grown, what="a checkpoint of everything")

        lines = (tmp_path / "promised").read_text().splitlines()
        placed = [str(row[0]) for row in stack.query("SELECT entry_id FROM audit_leaf")]
        assert len(lines) > 100
        assert len(set(placed)) == len(placed)
        assert {line for line in lines if len(line) == 36} - set(placed) == set()

        pins = []
        for number, note in enumerate(kept):
            (tmp_path / f"pin{number}").write_text(note, "utf-8")
            pins += ["--pinned", str(tmp_path / f"pin{number}")]
        code, told, wrong = manage(stack, "ledger", "verify", "--json", *pins)
        assert (code, json.loads(told)["findings"]) == (0, []), wrong
        key = read(stack, "/audit/log/key").strip()
        assert manage(stack, "ledger", "export", str(tmp_path / "out"))[0] == 0

    out = str(tmp_path / "out")
    command = [sys.executable, "-I", audit.verify.__file__, "export", out, "--key", key, *pins]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_f35_writers_killed_between_a_row_and_its_commit_leave_no_gap_and_no_fork(stack):
    """Thirty-two at once, and the sequencer killed in their midst; the check at the end examines every entry."""
    tag = uuid4().hex[:8]
    argv = [sys.executable, "-m", "tests.faults.writers", tag]
    with subprocess.Popen(
        argv, env=environment(stack), cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as writers:
        assert writers.stdout is not None
        first = writers.stdout.readline()
        stack.kill("sequencer")
        promised = [first.strip(), *writers.stdout.read().split()]
    assert writers.returncode == 0
    teams = {row[0] for row in stack.query("SELECT slug FROM accounts_team WHERE slug LIKE %s", f"{tag}-%")}
    assert teams == set(promised)
    assert len(promised) == WRITERS * EACH + WRITERS // 2
    told = (
        "SELECT count(*), count(DISTINCT e.stream) FROM audit_entry e JOIN accounts_team t ON t.id = e.stream"
    )
    assert stack.query(f"{told} WHERE t.slug LIKE %s", f"{tag}-%") == [(len(promised), len(promised))]
    sealed = "SELECT count(*) FROM audit_leaf l JOIN audit_entry e ON e.id = l.entry_id JOIN accounts_team t"
    sealed += " ON t.id = e.stream WHERE t.slug LIKE %s"
    wait_for(
        lambda: stack.query(sealed, f"{tag}-%") == [(len(promised),)], what="a place in the log for each"
    )
