"""Everything is killed at random while changes of all kinds are asked for: nothing is lost, nothing happens twice.

A minute in the suite, an hour by `make chaos`. The witness is a file that the steps write to, outside the product.
"""

import json
import os
import time
from collections import Counter

import pytest

from tests.faults.chaos import Chaos
from tests.faults.product import lines, manage
from tests.stack import wait_for

pytestmark = pytest.mark.faults
SECONDS = float(os.environ.get("CHAOS_MINUTES", "0.7")) * 60
SEED = int(os.environ.get("CHAOS_SEED") or time.time())
STEPS = """
    SELECT s.id::text, s.effect, s.state, s.attempt FROM orchestration_step s
     WHERE s.run_id = ANY(%s::uuid[]) AND s.key <> 'tell'
"""
REASONS = """
    SELECT count(*) FROM orchestration_step s JOIN orchestration_run r ON r.id = s.run_id
     WHERE s.state = 'unknown' AND coalesce((SELECT a.reason FROM orchestration_stepattempt a
            WHERE a.step_id = s.id ORDER BY a.number DESC LIMIT 1), '') = ''
"""


def test_chaos_loses_nothing_and_does_nothing_twice(stack, ask, tmp_path):
    print(f"\nchaos for {SECONDS:.0f} s; the same schedule: CHAOS_SEED={SEED} make chaos")
    chaos = Chaos(stack, ask, tmp_path, seed=SEED)
    before = {row[0] for row in stack.query("SELECT id FROM orchestration_run")}
    chaos.go_on_for(SECONDS)
    try:
        wait_for(lambda: chaos.unfinished() == 0, seconds=180 + SECONDS / 10)
    except AssertionError:
        raise AssertionError(f"these neither ended nor wait for anybody:\n{chaos.left()}") from None

    told = stack.query("SELECT id, state FROM orchestration_run")
    runs = {str(key): state for key, state in told if key not in before}
    assert set(chaos.promised) <= set(runs), "what was answered is there"
    assert set(runs.values()) <= {"succeeded", "unknown"}, "nothing failed that was not made to"
    assert stack.query(REASONS) == [(0,)], "a person who is asked is told why"

    steps = {key: told for key, *told in stack.query(STEPS, list(runs))}
    seen = chaos.seen()
    for key, said in seen.items():
        numbers = [attempt for _, attempt in said]
        assert numbers == sorted(numbers), f"attempts of {key} overlapped: {said}"
        effect, _, attempt = steps[key]
        assert numbers[-1] <= attempt, "nothing ran that is not an attempt of its own"
        if effect == "at_most_once":
            assert Counter(said)[("begins", 1)] == 1
            assert set(numbers) == {1}
        if effect == "reconcilable":
            assert sum(what == "ends" for what, _ in said) == 1, "its check kept a second one from happening"
    for key, (_, state, _) in steps.items():
        if state == "succeeded":
            assert any(what == "ends" for what, _ in seen[key]), f"the effect of {key} is lost"

    assert {str(one) for one in chaos.versions} <= set(lines(chaos.people))
    assert chaos.verdicts == {"waiting": len(chaos.versions), "complete": len(chaos.versions)}
    wait_for(lambda: stack.query("SELECT count(*) FROM audit_pending") == [(0,)], what="an empty queue")
    pins = [word for pin in chaos.pins for word in ("--pinned", str(pin))]
    code, report, wrong = manage(stack, "ledger", "verify", "--json", *pins)
    assert (code, json.loads(report)["findings"]) == (0, []), wrong
    assert sum(chaos.kills.values()) > 0
    print(summary(chaos, runs, steps, report))


def summary(chaos, runs, steps, report):
    ends = ", ".join(f"{count} {state}" for state, count in Counter(runs.values()).items())
    again = sum(attempt - 1 for *_, attempt in steps.values() if attempt > 1)
    kills = ", ".join(f"{name} {count}" for name, count in sorted(chaos.kills.items()))
    return (
        f"{len(runs)} changes ({ends}), {len(chaos.versions)} of them over HTTP; {len(steps)} steps, {again} tried"
        f" again; {sum(chaos.kills.values())} kills ({kills}); {json.loads(report)['size']} entries,"
        f" {len(chaos.pins)} checkpoints kept elsewhere; none lost, none twice, no invariant broken"
    )
