"""The database restarts, fills up and changes its shape under load: what was accepted is done, once."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random

import psycopg
import pytest

from tests.faults.many import asked, said
from tests.faults.product import all_end, environment, lines, telling
from tests.stack import ROOT, wait_for

pytestmark = pytest.mark.faults
ROUNDS = int(os.environ.get("FAULT_ROUNDS", "1"))  # `make chaos` asks for more


def test_f09_a_database_that_restarts_under_load_loses_and_doubles_nothing(stack, ask, witness):
    """In good order and by a kill, while steps of a run are under way and others follow."""
    random, runs = Random(9), []  # noqa: S311
    for round_ in range(2 if ROUNDS == 1 else 10):
        count = 8 if ROUNDS == 1 else 50
        runs += ask(telling("a", witness, 0.5), telling("b", witness, 0, needs=["a"]), count=count)["runs"]
        wait_for(witness.exists)
        if ROUNDS > 1:
            time.sleep(random.uniform(5, 40))
        stack.kill("postgres", signal.SIGKILL if round_ % 2 else signal.SIGINT)
        wait_for(lambda: stack.query("SELECT 1"), seconds=60, what="the database")
    all_end(stack, runs, seconds=60 + len(runs))
    assert Counter(lines(witness)) == dict.fromkeys(("begin 1", "end 1"), 2 * len(runs))


@pytest.fixture
def small(stack):
    """What is written with each request lies on a volume of a few megabytes: to fill it, and to make room again."""
    place = Path(tempfile.mkdtemp(prefix="countersign-small-"))
    place.chmod(0o755)
    size = f"size=24m,uid={stack.layout.uid},mode=700"
    mount = ["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        place.rmdir()
        pytest.skip("LOUD: no volume can be mounted here (not root?); a full disk was not tried")
    ballast = place / "ballast"

    def fill():
        with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(b"\0" * 4096):
                pass

    try:
        stack.query(f"CREATE TABLESPACE small LOCATION '{place}'")
        move(stack, "small")
        yield fill, ballast.unlink
        ballast.unlink(missing_ok=True)
        move(stack, "pg_default")
        stack.query("DROP TABLESPACE small")
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)
        place.rmdir()


def move(stack, space):
    for table in ("audit_entry", "orchestration_change", "orchestration_revision"):
        stack.query(f"ALTER TABLE {table} SET TABLESPACE {space}")
        for (index,) in stack.query("SELECT indexname FROM pg_indexes WHERE tablename = %s", table):
            stack.query(f'ALTER INDEX "{index}" SET TABLESPACE {space}')


def test_f26_a_full_volume_of_the_database_refuses_whole_requests_and_resumes_when_there_is_room(
    stack, sessions, visit, small
):
    """Asked until the volume takes no more: each answer is a stored change or a 5xx without a trace of one."""
    fill, make_room = small
    mara = visit("mara")
    count = "SELECT count(*), (SELECT count(*) FROM orchestration_revision) FROM orchestration_change"
    ((changes, revisions),) = stack.query(count)
    fill()
    answers: list[int] = []
    while answers[-3:] != [500] * 3 and len(answers) < 300:
        answers.append(mara.send("POST", "changes/", asked(2000), key=f"full-{len(answers)}")[0])
    stored = answers.count(201)
    assert set(answers) <= {201, 500}
    assert answers[-3:] == [500] * 3
    assert stack.query(count) == [(changes + stored, revisions + stored)]
    make_room()
    change = mara.ask("POST", "changes/", asked(2000), key=f"full-{len(answers) - 1}")
    assert stack.query(count) == [(changes + stored + 1, revisions + stored + 1)], (
        "under the key that had failed"
    )
    for who, stage in (("jonas", "Service owner"), ("noor", "Security")):
        visit(who).ask("POST", f"changes/{change['key']}/sign-offs/", said(change, stage))
    wait_for(lambda: "2000" in lines(sessions[1]), what=f"the step\n{stack.logs()}")


def test_f38_a_migration_gives_way_to_what_runs_and_takes_its_turn(stack, ask, witness):
    """A row is held as by a long transaction: the migration waits 2 s at most, lets go, and comes again."""
    runs = ask(telling("a", witness, 0.1), telling("b", witness, 0, needs=["a"]), count=3)["runs"]
    command = [sys.executable, "-m", "tests.faults.migrate"]
    with psycopg.connect(stack.database()) as holder:
        holder.execute(
            "SELECT count(*) FROM orchestration_step"
        )  # holds the table until its transaction ends
        process = subprocess.Popen(
            command,
            env=environment(stack),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'"
        wait_for(lambda: stack.query(waiting) != [(0,)], what="a migration that waits")
        began = time.monotonic()
        runs += ask(telling("a", witness, 0), count=2)["runs"]
        all_end(stack, runs)
        slowest = time.monotonic() - began
        assert process.poll() is None
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0, out
    assert "gave way" in out
    assert slowest < 30
    late = "SELECT max(a.started_at - r.created_at) < interval '5 seconds' FROM orchestration_stepattempt a"
    late += " JOIN orchestration_step s ON s.id = a.step_id JOIN orchestration_run r ON r.id = s.run_id"
    assert stack.query(late + " WHERE r.id = ANY(%s::uuid[]) AND s.key = 'a'", runs[3:]) == [(True,)]
    assert Counter(lines(witness)) == dict.fromkeys(("begin 1", "end 1"), 8)
    back = subprocess.run(
        [*command, "zero"], env=environment(stack), cwd=ROOT, capture_output=True, check=False
    )
    assert back.returncode == 0, back.stderr
