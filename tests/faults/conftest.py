"""A stack for the tests of one module, and approved runs in it."""

import json
import subprocess
import sys

import pytest

from tests.faults.product import environment
from tests.stack import ROOT, running

SWIFT = {
    "COUNTERSIGN_LEASE_TTL_SECONDS": "9",
    "COUNTERSIGN_HEARTBEAT_SECONDS": "0.5",
    "COUNTERSIGN_POLL_SECONDS": "1",
}


@pytest.fixture(scope="session")
def swift() -> dict[str, str]:
    """Settings under which what a death costs is over soon."""
    return SWIFT


@pytest.fixture(scope="module")
def stack(swift):
    with running(demo=False, env=swift) as stack:
        yield stack


@pytest.fixture
def witness(tmp_path):
    """A file to which each attempt writes when it begins and when it ends."""
    return tmp_path / "witness"


@pytest.fixture(scope="module")
def ask(stack):
    """Makes approved runs; the answer comes when their transactions have committed."""
    argv, pipe = [sys.executable, "-m", "tests.faults.ask"], subprocess.PIPE
    with subprocess.Popen(
        argv, env=environment(stack), cwd=ROOT, stdin=pipe, stdout=pipe, text=True
    ) as asker:
        into, out = asker.stdin, asker.stdout
        assert into is not None
        assert out is not None

        def ask(*steps, count=1):
            into.write(json.dumps({"count": count, "steps": steps}) + "\n")
            into.flush()
            return json.loads(out.readline())

        yield ask
        into.close()
