"""A small bank with the starter policy, for every test that asks for it."""

import pytest

from tests.approvals.cast import Bank


@pytest.fixture
def bank(db) -> Bank:
    return Bank()
