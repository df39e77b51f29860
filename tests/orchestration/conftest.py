"""What the engine's tests share."""

import pytest

from tests.orchestration.world import World


@pytest.fixture
def world(transactional_db):
    """Real commits: the ledger's deferred constraint speaks at commit only."""
    return World()


@pytest.fixture
def rolled_back(db):
    """The same, undone at the end of the test: for what does not need a commit."""
    return World()
