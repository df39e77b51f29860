"""Limits: counted atomically, so that a race cannot pass."""

import threading
from datetime import timedelta

import pytest
from django.db import connection

from accounts import rates
from audit.refusals import TooMany
from tests.accounts.cast import NOW

pytestmark = pytest.mark.django_db(transaction=True)
THREE = rates.Limit(3, seconds=60)


def test_the_limit_holds_until_the_window_ends():
    for _ in range(3):
        rates.spend("k", THREE, at=NOW)
    with pytest.raises(TooMany) as refused:
        rates.spend("k", THREE, at=NOW + timedelta(seconds=20))
    assert refused.value.retry_after == 40
    rates.spend("k", THREE, at=NOW + timedelta(seconds=60))


def test_what_was_no_failure_is_given_back():
    for _ in range(5):
        rates.spend("k", THREE, at=NOW)
        rates.refund("k")


@pytest.mark.races
def test_forty_at_a_barrier_pass_three_times():
    barrier, passed = threading.Barrier(8), []

    def run() -> None:
        try:
            barrier.wait(timeout=10)
            for _ in range(5):
                try:
                    rates.spend("k", THREE, at=NOW)
                    passed.append(1)
                except TooMany:
                    pass
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(passed) == 3
