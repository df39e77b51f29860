"""Each broker that may carry wake-ups: killed, hung and back, while approved changes run through real workers.

Nobody polls within the length of a test, so whatever runs was brought by the broker.
"""

import os
import signal
from collections import Counter
from collections.abc import Iterator
from urllib.request import urlopen

import pytest

from tests import rabbitmq
from tests.faults.product import all_end, asking, lines, telling
from tests.stack import Stack, running, wait_for

pytestmark = pytest.mark.faults
UNPOLLED = {"COUNTERSIGN_POLL_SECONDS": "600"}


class Valkey:
    """The one that the product starts, and starts again when it died."""

    env: dict[str, str] = {}

    def send(self, stack: Stack, number: signal.Signals) -> None:
        os.kill(stack.pids()["valkey"], number)

    def back(self) -> None:
        """The product sees to it."""


class RabbitMQ:
    """One of the operator's own: its address is a setting, the channel layer stays with Valkey."""

    def __init__(self) -> None:
        self.broker = rabbitmq.RabbitMQ().start()
        self.env = {"COUNTERSIGN_BROKER_URL": self.broker.url}

    def send(self, _: Stack, number: signal.Signals) -> None:
        self.broker.send(number)

    def back(self) -> None:
        self.broker.start()


@pytest.fixture(scope="module", params=["valkey", "rabbitmq"])
def broker(request) -> Iterator[Valkey | RabbitMQ]:
    if request.param == "valkey":
        yield Valkey()
        return
    if rabbitmq.FOUND is None:
        pytest.skip("needs rabbitmq-server")
    broker = RabbitMQ()
    try:
        yield broker
    finally:
        broker.broker.remove()


@pytest.fixture(scope="module")
def product(swift, broker):
    """A stack of its own for each of them."""
    with running(demo=False, env={**swift, **UNPOLLED, **broker.env}) as stack, asking(stack) as ask:
        yield stack, ask, None


def test_a_wake_up_brings_each_step_to_a_worker(stack, ask, witness):
    """Beat, which would tell of a step once more, is stopped meanwhile."""
    with urlopen(f"{stack.url}/readyz", timeout=5) as answer:  # noqa: S310 - ours
        assert answer.read() == b"database ok\nbroker ok\n"
    beat = stack.kill("beat", signal.SIGSTOP)
    try:
        fan = [telling(key, witness, 0, needs=["a"]) for key in "bcde"]
        all_end(stack, ask(telling("a", witness, 0), *fan)["runs"], seconds=20)
    finally:
        os.kill(beat, signal.SIGCONT)
    assert Counter(witness.read_text().splitlines()) == {"begin 1": 5, "end 1": 5}


def test_a_broker_that_hangs_delays_nobody_and_loses_nothing(stack, broker, ask, witness):
    broker.send(stack, signal.SIGSTOP)
    try:
        asked = ask(telling("a", witness, 0), count=20)
        assert asked["slowest"] < 2
    finally:
        broker.send(stack, signal.SIGCONT)
    all_end(stack, asked["runs"])
    assert Counter(witness.read_text().splitlines()) == {"begin 1": 20, "end 1": 20}


def test_a_broker_that_is_killed_under_load_costs_nothing(stack, broker, ask, witness):
    steps = telling("a", witness, 0.2), telling("b", witness, 0, needs=["a"])
    runs = ask(*steps, count=5)["runs"]
    wait_for(witness.exists)
    broker.send(stack, signal.SIGKILL)
    runs += ask(*steps, count=3)["runs"]
    broker.back()
    runs += ask(*steps, count=2)["runs"]
    all_end(stack, runs)
    assert Counter(witness.read_text().splitlines()) == {"begin 1": 20, "end 1": 20}


def test_a_worker_that_drains_lets_its_step_end_and_the_next_one_goes_on(stack, ask, witness):
    runs = ask(telling("a", witness, 2), telling("b", witness, 0, needs=["a"]))["runs"]
    wait_for(lambda: lines(witness))
    stack.kill("worker", signal.SIGTERM)
    all_end(stack, runs)
    assert witness.read_text() == "begin 1\nend 1\nbegin 1\nend 1\n"
