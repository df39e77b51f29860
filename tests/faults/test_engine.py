"""Real processes, really killed: accepted work is never lost, and never done twice in secret."""

import contextlib
import os
import signal
import time
from functools import partial
from pathlib import Path
from uuid import uuid4

import psutil
import pytest

from tests.faults.product import (
    arm,
    attempts,
    ends,
    family,
    lines,
    shell,
    stopped,
    tell,
    telling,
    ticking,
)
from tests.faults.sound import processes_of
from tests.stack import wait_for

pytestmark = pytest.mark.faults
TTL, GRACE = 9, 10  # seconds: the lease of conftest's stack, and what the reaper may take on top
CGROUPS = Path("/sys/fs/cgroup")


def begun(witness: Path, attempt: int):
    return lambda: f"begin {attempt}" in lines(witness)


def leased(stack, run):
    """Whether a step of the run is held by anybody."""
    held = "SELECT count(*) FROM orchestration_step WHERE run_id = %s AND state = 'running'"
    return stack.query(held, run) != [(0,)]


def worker_of(run: str) -> int:
    """The pid of the worker process that holds a step of this run, as its marker says it."""
    for pid in processes_of({run}):
        with contextlib.suppress(OSError):
            told = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            marker = next(one for one in told if one.startswith(b"COUNTERSIGN_BOOT="))
            return int(marker.rsplit(b":", 2)[1])
    raise AssertionError(f"nothing runs for {run}")


# --- the whole worker, killed in the middle of three steps ----------------------------------------------------


@pytest.fixture(scope="module")
def killed(product, tmp_path_factory):
    """The worker dies as a machine does that loses power; but for a daemon of one step, which nobody is left to end.

    Runs and witnesses by name, and the daemon's pid.
    """
    stack, ask, _ = product
    folder = tmp_path_factory.mktemp("killed")
    paths = {name: folder / name for name in ("repeatable", "once", "hidden")}
    daemon = f"setsid sh -c 'while :; do echo daemon $STEP_ATTEMPT >> {paths['hidden']}; sleep 0.05; done'"
    steps = {
        "repeatable": ticking("a", paths["repeatable"], 3, effect="idempotent"),
        "once": telling("a", paths["once"], 5),
        "hidden": shell("a", f"[ $STEP_ATTEMPT = 1 ] || exit 0; ({daemon} &); sleep 60", effect="idempotent"),
    }
    runs = {name: ask(one)["runs"][0] for name, one in steps.items()}
    wait_for(lambda: all(map(lines, paths.values())), what=f"the three steps\n{stack.logs()}")
    hidden = [pid for pid in processes_of({runs["hidden"]}) if "echo daemon" in " ".join(commanded(pid)[2:3])]
    hidden = [pid for pid in hidden if commanded(pid)[0] == "sh"]
    doomed = [pid for pid in family(stack, "worker") if pid not in hidden]
    with stopped(*doomed):  # so that no supervisor has the time to take the daemon along
        tell(doomed, signal.SIGKILL)
    return runs, paths, hidden


def gone(path: Path) -> bool:
    return not path.exists()


def commanded(pid: int) -> list[str]:
    try:
        return psutil.Process(pid).cmdline()
    except psutil.Error:
        return []


def test_f01_what_hides_from_a_killed_worker_is_swept_before_the_step_runs_again(stack, killed):
    runs, paths, (daemon,) = killed
    wait_for(lambda: not psutil.pid_exists(daemon), seconds=TTL, what="the sweep")
    assert leased(stack, runs["hidden"]), "it was gone before anybody else could hold the step"
    ends(stack, runs["hidden"])
    assert set(lines(paths["hidden"])) == {"daemon 1"}


def test_f01_a_worker_killed_in_the_middle_of_a_repeatable_step_costs_one_attempt(stack, killed):
    runs, paths, *_ = killed
    ended = (
        "SELECT max(a.ended_at - a.started_at) < make_interval(secs => %s) FROM orchestration_stepattempt a"
    )
    ended += " JOIN orchestration_step s ON s.id = a.step_id WHERE s.run_id = %s AND a.number = 1"
    ends(stack, runs["repeatable"])
    assert stack.query(ended, 3 + TTL + GRACE, runs["repeatable"]) == [(True,)]
    assert attempts(stack, runs["repeatable"]) == [(1, "unknown"), (2, "succeeded")]
    told = lines(paths["repeatable"])
    assert set(told) == {"1", "2", "end 2"}
    assert told == sorted(told, key=lambda line: line.removeprefix("end ")), "they never overlapped"


def test_a_worker_killed_in_the_middle_of_a_step_that_may_not_be_repeated_leaves_a_question(stack, killed):
    runs, paths, *_ = killed
    ends(stack, runs["once"], "unknown")
    assert lines(paths["once"]) == ["begin 1"]


# --- a process of the worker, killed at a place of the code ---------------------------------------------------


@pytest.fixture(scope="module")
def struck(product, tmp_path_factory):
    """Five runs, in each of which a worker process dies at a place of its own; runs and witnesses by name.

    They are brought about first and waited for together: each costs the length of a lease.
    """
    stack, ask, _ = product
    folder = tmp_path_factory.mktemp("struck")
    effect = f'echo "$STEP_ATTEMPT $IDEMPOTENCY_KEY" >> {folder}/effect'
    pay = f'echo "paid $STEP_ATTEMPT $IDEMPOTENCY_KEY" >> {folder}/check'
    look = f"echo look $STEP_ATTEMPT $IDEMPOTENCY_KEY >> {folder}/check; grep -q 'paid . '$IDEMPOTENCY_KEY"
    check = {"argv": ["/bin/sh", "-c", f"{look} {folder}/check"], "timeout_seconds": 20}
    deaths = {
        "effect": ("complete.before_commit", shell("a", effect, effect="idempotent")),
        "check": ("complete.before_commit", shell("a", pay, effect="reconcilable", check=check)),
        "again": ("claim.after_commit", telling("a", folder / "again", 0, effect="idempotent")),
        "once": ("claim.after_commit", telling("a", folder / "once", 0)),
    }
    runs = {}
    for name, (place, step) in deaths.items():
        once = arm(stack, place)
        runs[name] = ask(step)["runs"][0]
        wait_for(partial(gone, once), what=f"the death at {place}\n{stack.logs()}")
    runs["memory"] = ask(telling("a", folder / "memory", 2, effect="idempotent"))["runs"][0]
    wait_for(begun(folder / "memory", 1), what=f"the step\n{stack.logs()}")
    os.kill(worker_of(runs["memory"]), signal.SIGKILL)
    return runs, folder


def test_f03_a_worker_killed_between_the_effect_and_its_report_repeats_it_under_the_same_key(stack, struck):
    runs, folder = struck
    ends(stack, runs["effect"])
    (first, key), (second, same) = [line.split() for line in lines(folder / "effect")]
    assert (first, second, key) == ("1", "2", same)
    assert attempts(stack, runs["effect"]) == [(1, "unknown"), (2, "succeeded")]


def test_f03_a_check_keeps_a_second_effect_from_happening(stack, struck):
    runs, folder = struck
    ends(stack, runs["check"])
    first, second = [line.split() for line in lines(folder / "check")]
    assert (first[:2], second[:2]) == (["paid", "1"], ["look", "2"])
    assert first[2] == second[2]


@pytest.mark.parametrize(
    ("name", "becomes", "told"), [("again", "succeeded", ["begin 2", "end 2"]), ("once", "unknown", [])]
)
def test_f04_a_worker_killed_between_the_claim_and_the_start_has_started_nothing(
    stack, struck, name, becomes, told
):
    runs, folder = struck
    ends(stack, runs[name], becomes)
    assert attempts(stack, runs[name])[0] == (1, "unknown")
    assert lines(folder / name) == told


def test_f30_a_worker_process_ended_for_want_of_memory_costs_what_it_held_one_attempt(stack, struck):
    """What the kernel does to it, done by hand: SIGKILL to the process of the pool that holds the step."""
    runs, folder = struck
    ends(stack, runs["memory"])
    assert attempts(stack, runs["memory"]) == [(1, "unknown"), (2, "succeeded")]
    assert lines(folder / "memory") == ["begin 1", "begin 2", "end 2"]


# --- the kernel, and the database -----------------------------------------------------------------------------


def test_f30_the_kernel_ends_a_step_for_want_of_memory_and_it_is_tried_as_often_as_it_may(
    stack, ask, witness, scarce
):
    """A real kill by the kernel: the step joins a control group with little memory, and fills it."""
    said = f"echo $STEP_ATTEMPT >> {witness}; echo $$ > {scarce}/cgroup.procs; exec tail /dev/zero"
    run = ask(shell("a", said, effect="idempotent", retries=1))["runs"][0]
    ends(stack, run, "failed")
    assert lines(witness) == ["1", "2"]
    assert attempts(stack, run) == [(1, "failed"), (2, "failed")]
    (reason,) = stack.query(
        "SELECT DISTINCT a.reason FROM orchestration_stepattempt a JOIN orchestration_step s ON s.id = a.step_id"
        " WHERE s.run_id = %s",
        run,
    )
    assert "ran out of memory" in reason[0]


@pytest.fixture
def scarce():
    """The folder of a control group with 48 MiB of memory, of either version."""
    unified = (CGROUPS / "cgroup.controllers").exists()
    group = (CGROUPS if unified else CGROUPS / "memory") / f"countersign-test-{uuid4().hex[:8]}"
    try:
        group.mkdir()
        (group / ("memory.max" if unified else "memory.limit_in_bytes")).write_text(str(48 << 20))
    except OSError as error:
        with contextlib.suppress(OSError):
            group.rmdir()
        pytest.skip(f"LOUD: no control group can be made here ({error}); no kill by the kernel was seen")
    yield group
    wait_for(lambda: not (group / "cgroup.procs").read_text())
    group.rmdir()


def test_f11_a_worker_that_loses_sight_of_the_database_ends_its_step_before_another_may_hold_it(
    stack, ask, witness
):
    run = ask(ticking("a", witness, 6, effect="idempotent"))["runs"][0]
    wait_for(lambda: lines(witness))
    with stopped(*family(stack, "postgres")):
        lost = time.monotonic()
        wait_for(lambda: processes_of({run}) == [], seconds=TTL, what="the end of the step")
        assert time.monotonic() - lost < TTL, "before its lease was over"
        left = TTL + 6 - (time.monotonic() - lost)
        time.sleep(max(0.0, left))  # longer than the lease, and than the reaper waits behind it
        ended = len(lines(witness))
    wait_for(lambda: "2" in lines(witness), what=f"the next attempt\n{stack.logs()}")
    ends(stack, run)
    told = lines(witness)
    assert set(told[:ended]) == {"1"}
    assert set(told[ended:]) == {"2", "end 2"}


def test_a_stopped_worker_ends_what_it_runs_and_starts_nothing_more(stack, ask, witness):
    run = ask(telling("a", witness, 2), telling("b", witness, 0, needs=["a"]))["runs"][0]
    wait_for(begun(witness, 1))
    stack.kill("worker", signal.SIGTERM)
    ends(stack, run)
    assert lines(witness) == ["begin 1", "end 1", "begin 1", "end 1"]


def test_a_supervisor_that_is_killed_takes_all_with_it_and_the_next_start_goes_on(stack, ask, witness):
    one, two = telling("a", witness, 2, effect="idempotent"), telling("b", witness, 0, needs=["a"])
    run = ask(one, two)["runs"][0]
    wait_for(begun(witness, 1))
    stack.kill("supervisor")
    stack.start()
    ends(stack, run)
    told = ["begin 1", "begin 2", "end 2", "begin 1", "end 1"]
    assert lines(witness) == told, "the first step was repeated, which it allows; the second was not"
