"""Many approvals while workers are killed at random: none is lost, and none counts twice."""

import json
import os
import threading
from collections import Counter
from random import Random

import psutil
import pytest

from tests.faults.many import approve_all
from tests.faults.product import asking, manage
from tests.stack import running, wait_for

pytestmark = pytest.mark.faults
APPROVALS = int(os.environ.get("SOAK_APPROVALS", "40"))  # `make soak` asks for 2,000


class Killer(threading.Thread):
    """Kills a process of the worker, or all of it, again and again."""

    def __init__(self, stack):
        super().__init__(daemon=True)
        self.stack, self.random, self.kills, self.enough = stack, Random(7), 0, threading.Event()  # noqa: S311

    def run(self):
        while not self.enough.wait(self.random.uniform(0.3, 3)):
            try:
                main = psutil.Process(self.stack.pids()["worker"])
                below = main.children(recursive=True)
                for process in [*below, main] if self.random.random() < 0.2 else self.random.sample(below, 1):
                    process.kill()
                self.kills += 1
            except (psutil.Error, ValueError, KeyError):
                continue  # it is being started again


def attempts(stack):
    """How often each version's step was started."""
    rows = stack.query(
        "SELECT v.inputs->>'version', s.attempt FROM orchestration_step s JOIN orchestration_run r ON r.id = s.run_id"
        " JOIN orchestration_revision v ON v.id = r.revision_id"
    )
    return Counter(dict(rows))


def test_none_is_lost_and_none_counts_twice(swift, witness):
    changes = APPROVALS // 2
    with running(demo=False, env=swift) as stack, asking(stack) as ask:
        cookies = ask.people(witness)
        killer = Killer(stack)
        killer.start()
        told = approve_all(stack.port, cookies, range(changes))
        unfinished = "SELECT count(*) FROM orchestration_change WHERE state <> 'succeeded'"
        killer.enough.set()
        killer.join()
        wait_for(
            lambda: stack.query(unfinished) == [(0,)],
            seconds=120 + changes,
            what=f"the end of all\n{stack.logs()}",
        )

        assert killer.kills > 0
        assert sorted(one["version"] for one in told.answers) == list(range(changes))
        verdicts = Counter(verdict for one in told.answers for verdict in one["verdicts"])
        assert verdicts == {"waiting": changes, "complete": changes}, "each completed its chain exactly once"
        assert stack.query("SELECT count(*), count(DISTINCT change_id) FROM orchestration_run") == [
            (changes, changes)
        ]
        assert stack.query("SELECT count(*), count(DISTINCT run_id) FROM approvals_permit") == [
            (changes, changes)
        ]
        signed = "SELECT count(*), count(DISTINCT (chain_id, person_id)) FROM approvals_signoff"
        assert stack.query(signed) == [(2 * changes, 2 * changes)]
        ended = "SELECT count(*) FROM orchestration_stepattempt WHERE outcome = 'succeeded'"
        assert stack.query(ended) == [(changes,)]
        seen, tried = Counter(witness.read_text().split()), attempts(stack)
        assert set(seen) == set(tried) == {str(number) for number in range(changes)}
        assert all(seen[one] <= tried[one] for one in seen), "nothing ran that is not an attempt of its own"
        entries = "SELECT kind, count(*) FROM audit_entry WHERE kind = ANY(%s) GROUP BY kind"
        kinds = ["change.approved", "change.succeeded", "permit.issued", "run.succeeded", "step.succeeded"]
        assert dict(stack.query(entries, kinds)) == dict.fromkeys(kinds, changes)
        wait_for(lambda: stack.query("SELECT count(*) FROM audit_pending") == [(0,)], what="an empty queue")
        code, said, wrong = manage(stack, "ledger", "verify", "--json")
        assert (code, json.loads(said)["findings"]) == (0, []), wrong
    print(f"{2 * changes} approvals, {killer.kills} kills, {told.repeated} requests sent again")
