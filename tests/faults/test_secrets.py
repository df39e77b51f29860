"""Real processes with a secret in them: where it is while a step runs, and that it is gone however the step ends."""

import contextlib
import os
import re
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from orchestration.engine.supervisor.redact import forms
from tests.faults.product import ends, environment, kill_workers
from tests.stack import ROOT, wait_for

pytestmark = pytest.mark.faults
CANARY = "c4n4ry-of-the-stack-9Zq8vT"
PATTERNS = {one for one in forms(CANARY.encode()) if len(one) >= 8}


@pytest.fixture(scope="module")
def canary(product):
    """A team's secret, written at a terminal of the stack."""
    stack, ask, _ = product
    ask({"key": "a", "seconds": 0})  # there is a team now
    for arguments in (
        ("create", "payments/canary", "--team", "payments", "--environments", "production"),
        ("set", "payments/canary"),
    ):
        command = [sys.executable, "manage.py", "secret", *arguments]
        done = subprocess.run(
            command,
            env=environment(stack),
            cwd=ROOT,
            input=CANARY,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert CANARY not in done.stdout + done.stderr


@pytest.fixture
def holding(stack, ask, canary, tmp_path):
    """A run whose step has printed its secret in every form, and holds it until it is let go."""
    go, begun = tmp_path / "go", tmp_path / "begun"
    argv = [sys.executable, str(ROOT / "tests" / "leak.py"), "wait", str(begun), str(go)]
    step = {
        "key": "hold",
        "uses": "command",
        "with": {"argv": argv},
        "secrets": {"CANARY": "payments/canary"},
    }
    run = ask(step)["runs"][0]
    wait_for(begun.exists, what=f"the step began\n{stack.logs()}")
    yield run, go
    go.touch()


def in_memory(stack, run):
    """What lies there for the steps of this run: others may run on this machine."""
    steps = stack.query("SELECT id FROM orchestration_step WHERE run_id = %s", run)
    return [one for step in steps for one in Path("/dev/shm").glob(f"countersign-*-{step[0]}-*")]


def holders(stack):
    """The processes of the step: its supervisor, which the fork server forked, and whatever is below it."""
    for process in psutil.Process(stack.pids()["worker"]).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # dead already, or dying
            parent = process.parent()
            if parent and all("forkserver.py" in " ".join(one.cmdline()) for one in (process, parent)):
                yield from (process.pid, *(one.pid for one in process.children(recursive=True)))


def remembers(pid):
    """Whether a form of the secret stands in what a process has written to its memory; one that is gone has none."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return _remembers(Path(f"/proc/{pid}"))
    return False


def _remembers(folder):
    with (folder / "maps").open() as maps, (folder / "mem").open("rb", buffering=0) as memory:
        for line in maps:
            found = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw", line)
            if found is None or "[vvar" in line:
                continue
            start, end = (int(one, 16) for one in found.groups())
            try:
                data = os.pread(memory.fileno(), end - start, start)
            except OSError:
                continue
            if any(one in data for one in PATTERNS):
                return True
    return False


def test_only_the_step_and_its_supervisor_know_it_while_it_runs(stack, holding):
    """Neither worker nor fork server nor web server nor database nor broker holds it, in memory or in a file."""
    if os.geteuid() != 0:
        pytest.skip(
            "LOUD: only root may look into the memory of other processes; this promise was not checked"
        )
    run, _ = holding
    known = set(holders(stack))
    assert any(remembers(pid) for pid in known)  # the search finds what is there
    others = [pid for pid in stack.alive() if pid not in known]
    assert len(others) > 5
    assert [pid for pid in others if remembers(pid)] == []
    for pid in [*known, *others]:
        for name in ("cmdline", "environ"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended, and tells nobody
                assert CANARY.encode() not in Path(f"/proc/{pid}/{name}").read_bytes()
    files = [path for path in stack.home.rglob("*") if path.is_file()]
    assert len(files) > 100
    assert [path for path in files if any(one in path.read_bytes() for one in PATTERNS)] == []
    (place,) = in_memory(stack, run)
    assert place.stat().st_mode & 0o777 == 0o700


def test_nothing_of_it_is_left_when_the_step_has_ended(stack, holding):
    run, go = holding
    go.touch()
    ends(stack, run, "succeeded")
    assert in_memory(stack, run) == []
    chunks = stack.query(
        "SELECT data FROM orchestration_logchunk c JOIN orchestration_stepattempt a ON a.id = c.attempt_id"
        " JOIN orchestration_step s ON s.id = a.step_id WHERE s.run_id = %s ORDER BY c.id",
        run,
    )
    log = b"".join(bytes(one[0]) for one in chunks)
    assert b"***" in log
    assert [one for one in PATTERNS if one in log] == []


def test_nothing_of_it_is_left_when_its_supervisor_is_killed(stack, holding):
    run, _ = holding
    for pid in list(holders(stack)):
        with contextlib.suppress(psutil.NoSuchProcess):  # its supervisor has taken it along
            psutil.Process(pid).kill()
    ends(stack, run, "unknown")
    assert in_memory(stack, run) == []


def test_nothing_of_it_is_left_when_the_whole_worker_is_killed(stack, holding):
    run, _ = holding
    kill_workers(stack)
    ends(stack, run, "unknown")
    wait_for(lambda: in_memory(stack, run) == [], what="the sweep of the next worker")
