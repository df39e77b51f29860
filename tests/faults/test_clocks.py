"""Clocks that are wrong, jump, or ring twice: only the database's time decides, and nothing happens twice."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest

from config.embedded import postgres
from config.embedded.layout import Layout
from orchestration.engine.reconcile import LOCK
from tests.faults import sound
from tests.faults.product import (
    all_end,
    asking,
    attempts,
    ends,
    environment,
    family,
    lines,
    stopped,
    telling,
    ticking,
)
from tests.stack import ROOT, running, wait_for

pytestmark = pytest.mark.faults
LIBRARY = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))), None)
faked = pytest.mark.skipif(
    LIBRARY is None, reason="LOUD: no libfaketime; clocks that are wrong were not tried"
)
OFFSET = "SELECT clock_offset_ms, boot_id FROM orchestration_workernode ORDER BY started_at DESC LIMIT 1"
QUIET = (  # no worker is inside a transaction, none reconciles
    "SELECT pg_try_advisory_lock(%s) AND NOT EXISTS (SELECT FROM pg_stat_activity"
    " WHERE xact_start IS NOT NULL AND pid <> pg_backend_pid() AND backend_type = 'client backend')"
)
TOOK = (
    "SELECT DISTINCT a.worker_boot_id FROM orchestration_stepattempt a"
    " JOIN orchestration_step s ON s.id = a.step_id WHERE s.run_id = %s"
)
SET_BACK = (
    "SELECT (convert_from(body, 'UTF8')::jsonb -> 'data' ->> 'seconds')::int FROM audit_entry"
    " WHERE kind = 'ledger.clock_set_back'"
)
PLACED = (  # whether every entry of a run has its place, and the first of them
    "SELECT bool_and(l.index IS NOT NULL), min(l.index) FROM audit_entry e LEFT JOIN audit_leaf l ON l.entry_id = e.id"
    " WHERE e.stream = %s"
)
LIVES = "SELECT seen_at FROM orchestration_workernode WHERE boot_id = %s"


def off(clock: str) -> dict[str, str]:
    """The environment of a process whose clock is wrong; its monotonic clock is not."""
    return {"LD_PRELOAD": str(LIBRARY), "FAKETIME": clock, "DONT_FAKE_MONOTONIC": "1"}


@contextlib.contextmanager
def celery(stack, *arguments, **env):
    """Another worker or another beat, beside those of the stack."""
    given = {**environment(stack), **stack.env, "COUNTERSIGN_SIGNS_AS": "worker", **env}
    command = [sys.executable, "-m", "celery", "-A", "config.celery", *arguments, "--loglevel", "warning"]
    process = subprocess.Popen(
        command,
        env=given,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@faked
@pytest.mark.parametrize(("clock", "hours"), [("+1h", 1), ("-1h", -1)])
def test_f15_a_worker_whose_clock_is_off_by_an_hour_says_so_and_takes_nothing(
    stack, ask, witness, clock, hours
):
    with celery(stack, "worker", "--concurrency", "1", **off(clock)):
        told = wait_for(lambda: [row for row in stack.query(OFFSET) if row[0] * hours > 3_000_000],
                        what=f"its own measure\n{stack.logs()}")  # fmt: skip
        ((offset, boot),) = told
        assert abs(offset - hours * 3_600_000) < 60_000
        (fault,) = [one for one in ask.do("faults") if str(boot) == one["boot"]]
        assert "takes nothing" in " ".join(fault["faults"])
        with stopped(*family(stack, "worker")):  # nobody else is there who could
            runs = ask(telling("a", witness, 0), count=2)["runs"]
            seen = stack.query(LIVES, boot)
            wait_for(lambda: stack.query(LIVES, boot) > seen, what="its heart")
            time.sleep(3)  # it looked for work several times meanwhile
            assert stack.query(LIVES, boot) > seen
            assert lines(witness) == []
        all_end(stack, runs)
    by = "SELECT count(*) FROM orchestration_stepattempt WHERE worker_boot_id = %s"
    assert stack.query(by, boot) == [(0,)]


@faked
@pytest.mark.parametrize("clock", ["+1d", "-1d"])
def test_f15_what_is_asked_and_approved_by_a_clock_that_is_a_day_off_starts_and_expires_as_always(
    stack, ask, witness, clock
):
    life = "SELECT extract(epoch FROM c.expires_at - clock_timestamp())::int FROM approvals_chain c"
    life += (
        " JOIN orchestration_revision v ON v.chain_id = c.id JOIN orchestration_run r ON r.revision_id = v.id"
    )
    life += " WHERE r.id = %s"
    usual = ask(telling("a", witness, 0))["runs"][0]
    (expected,) = stack.query(life, usual)[0]
    with asking(stack, **off(clock)) as wrong:
        run = wrong(telling("a", witness, 0))["runs"][0]
    (found,) = stack.query(life, run)[0]
    assert abs(found - expected) < 120
    all_end(stack, [usual, run], seconds=20)
    assert lines(witness) == ["begin 1", "end 1"] * 2


@pytest.fixture
def jumping(swift):
    """A stack whose database has a clock of its own, and the file in which that stands."""
    if LIBRARY is None:
        pytest.skip("LOUD: no libfaketime; a clock that jumps was not tried")
    folder = Path(tempfile.mkdtemp(prefix="countersign-clock-"))
    folder.chmod(0o755)  # the database is another user
    clock, layout = folder / "clock", Layout(folder / "data")
    clock.write_text("+0")
    clock.chmod(0o644)
    ruled = {**off(""), "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1"}
    del ruled["FAKETIME"]
    layout.make()
    postgres.prepare(layout)
    server = postgres.child(layout, env={**os.environ, **ruled}, **postgres.FAST)
    server.start()
    try:
        wait_for(lambda: postgres.is_ready(layout), what="a database")
        postgres.create_database(layout)
        url = f"postgres://countersign@/countersign?host={quote(str(layout.run), safe='')}"
        with (
            running(demo=False, env={**swift, "COUNTERSIGN_DATABASE_URL": url}) as stack,
            asking(stack) as ask,
        ):
            yield stack, ask, clock
            sound.check(stack, ask)
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def test_f16_g07_when_the_clock_of_the_database_jumps_leases_lapse_and_when_it_is_set_back_everybody_is_told(
    jumping, witness, tmp_path
):
    """Nothing starts outside its window meanwhile, and the places of the log only grow."""
    stack, ask, clock = jumping
    begins, over = (datetime.now(tz=UTC) + timedelta(minutes=minutes) for minutes in (2, 5))
    span = {"not_before": begins.isoformat(), "not_after": over.isoformat()}
    outside = ask(telling("a", tmp_path / "outside", 0), not_after=span["not_after"], window=span)["runs"][0]
    once = ask(telling("a", tmp_path / "once", 30))["runs"][0]
    repeated = ask(ticking("a", witness, 8, effect="idempotent"))["runs"][0]
    wait_for(lambda: lines(witness) and lines(tmp_path / "once"), what=f"both steps\n{stack.logs()}")
    jumped = False
    while not jumped:
        with stopped(*workers(stack)):  # no heart beats between the jump and the look at the leases
            time.sleep(0.1)
            (jumped,) = stack.query(QUIET, LOCK)[
                0
            ]  # else a worker was stopped while it held what others need
            if jumped:
                clock.write_text("+600")
                ask.do("reconcile")
    ends(stack, once, "unknown")
    ends(stack, outside, "cancelled")
    wait_for(lambda: all(abs(offset) > 500_000 for offset, _ in stack.query(OFFSET)), what="the alarm")
    after = ask(telling("a", tmp_path / "after", 0))["runs"][0]
    with celery(stack, "worker", "--concurrency", "1", **off("+600s")):  # one whose clock has followed
        all_end(stack, [after, repeated])
        assert stack.query(TOOK, after) == [stack.query(OFFSET)[0][1:]], (
            "nobody whose clock is so far off took it"
        )
    assert [outcome for _, outcome in attempts(stack, repeated)] == ["unknown", "succeeded"]
    told = lines(witness)
    assert set(told) == {"1", "2", "end 2"}
    assert lines(tmp_path / "once") == ["begin 1"]
    assert lines(tmp_path / "outside") == []

    assert (stack.query(SET_BACK), ask.do("alarms")) == ([], [])
    (newest,) = stack.query("SELECT max(index) FROM audit_leaf")[0]
    clock.write_text("+0")  # the log shows ten minutes that are yet to come
    back = ask(telling("b", tmp_path / "back", 0))["runs"][0]
    all_end(stack, [back])
    ((seconds,),) = wait_for(lambda: stack.query(SET_BACK), what=f"the alarm in the log\n{stack.logs()}")
    assert 500 < seconds <= 600
    assert ask.do("alarms") == ["A clock was set back"]
    wait_for(lambda: stack.query(PLACED, back)[0][0], what="the places of the run")
    assert stack.query(PLACED, back)[0][1] > newest, "they are behind those of a later time"
    assert stack.query("SELECT count(*) - 1 - max(index) FROM audit_leaf") == [(0,)]


def workers(stack):
    """The processes of the worker itself, without those of its steps."""
    return [pid for pid in family(stack, "worker") if b"countersign worker" in _title(pid)]


def _title(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


@pytest.mark.parametrize("beats", [0, 2])
def test_f27_no_beat_or_two_of_them_change_when_and_never_how_often(stack, ask, witness, tmp_path, beats):
    """What is ready starts, and what is over expires, once; whether the clock is dead or rings twice."""
    over = (datetime.now(tz=UTC) + timedelta(seconds=2)).isoformat()
    later = (datetime.now(tz=UTC) + timedelta(hours=1)).isoformat()
    span = {"not_before": later, "not_after": over}
    with contextlib.ExitStack() as held:
        if beats:
            held.enter_context(celery(stack, "beat", "--schedule", str(tmp_path / "beat"), "--pidfile", ""))
        else:
            held.enter_context(stopped(stack.pids()["beat"]))
        expiring = ask(telling("a", witness, 0), count=4, not_after=over, window=span)["runs"]
        runs = ask(telling("a", witness, 0.2), telling("b", witness, 0, needs=["a"]), count=3)["runs"]
        all_end(stack, runs)
        for run in expiring:
            ends(stack, run, "cancelled", seconds=20)
        if beats:
            time.sleep(6)  # both have rung
    told = "SELECT count(*), count(DISTINCT e.stream) FROM audit_entry e JOIN orchestration_run r"
    told += " ON r.change_id = e.stream WHERE e.kind = 'change.expired' AND r.id = ANY(%s::uuid[])"
    assert stack.query(told, expiring) == [(4, 4)]
    assert sorted(lines(witness)) == ["begin 1"] * 6 + ["end 1"] * 6
