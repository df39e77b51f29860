"""What the engine's tests share."""

import fcntl
import tempfile
from pathlib import Path

import pytest

from orchestration.engine import supervise
from tests.faults import sound as everything
from tests.orchestration.tooling import PATH
from tests.orchestration.world import World


@pytest.fixture(autouse=True)
def tools(monkeypatch):
    """A step finds the tools of the machine, and behind them those that were put beside the environment."""
    monkeypatch.setattr(supervise, "STEP_PATH", PATH)


@pytest.fixture
def world(transactional_db):
    """Real commits: the ledger's deferred constraint speaks at commit only."""
    return World()


@pytest.fixture
def rolled_back(db):
    """The same, undone at the end of the test: for what does not need a commit."""
    return World()


@pytest.fixture
def sound():
    """What every fault test ends with: the invariants hold, and the ledger is whole."""
    yield
    everything.check_here()


@pytest.fixture
def users_of_steps():
    """They are the machine's, whoever runs the tests: one test at a time has them."""
    with (Path(tempfile.gettempdir()) / "countersign-test-users").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
