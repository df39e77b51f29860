"""What all cases share."""

import pytest

from tests.abuse.attack import Case
from tests.orchestration.planned import FILES, PLANNED


@pytest.fixture
def case(transactional_db) -> Case:
    """Real commits: refusals are recorded in transactions of their own."""
    return Case()


@pytest.fixture
def planning_case(transactional_db) -> Case:
    """The same where what would change is found out first."""
    return Case(PLANNED, FILES)
