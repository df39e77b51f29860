"""What all cases share."""

import pytest

from tests.abuse.attack import Case


@pytest.fixture
def case(transactional_db) -> Case:
    """Real commits: refusals are recorded in transactions of their own."""
    return Case()
