"""A child of the supervisor: asked to stop, and ended where asking is not enough."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from config.embedded.fork import Forked
from config.embedded.process import Child
from tests.stack import wait_for


def deaf() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.write(1, b"deaf")
    time.sleep(60)


def test_a_child_that_runs_once_is_not_brought_back_and_leaves_nothing(tmp_path):
    left = tmp_path / "left"

    def short() -> None:
        process = subprocess.Popen(["/bin/sleep", "60"])
        left.write_text(str(process.pid))

    child = Child(name="once", launch=Forked(title="once", body=short), log=tmp_path / "log", once=True)
    child.start()
    assert wait_for(child.is_over)
    assert not child.revive()
    assert child.due is None
    wait_for(lambda: gone(int(left.read_text())))


def gone(pid: int) -> bool:
    """No process any more, or one that only waits to be asked how it ended."""
    try:
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return True


def test_a_forked_child_that_does_not_listen_is_killed_when_its_grace_is_over(tmp_path):
    child = Child(
        name="deaf", launch=Forked(title="deaf", body=deaf), log=tmp_path / "log", grace_seconds=0.2
    )
    child.start()
    wait_for(lambda: "deaf" in child.log.read_text())
    handle = child.handle
    assert handle is not None
    with pytest.raises(subprocess.TimeoutExpired):
        handle.wait(0)
    child.stop()
    assert handle.poll() == -signal.SIGKILL
