"""One stack for the fault tests, approved runs in it, and the check that ends each of them."""

import contextlib
import os
import tempfile
from pathlib import Path

import pytest

from orchestration.engine.failpoints import VARIABLE
from tests import rabbitmq
from tests.faults import sound
from tests.faults.many import Visitor
from tests.faults.product import asking
from tests.faults.proxy import Proxy
from tests.stack import Stack

BROKER = os.environ.get("FAULT_BROKER", "valkey")  # `make amqp` asks for rabbitmq
SWIFT = {
    "COUNTERSIGN_LEASE_TTL_SECONDS": "9",
    "COUNTERSIGN_HEARTBEAT_SECONDS": "0.5",
    "COUNTERSIGN_POLL_SECONDS": "1",
    "COUNTERSIGN_WORKER_PROCESSES": "3",
}


@pytest.fixture(scope="session")
def swift() -> dict[str, str]:
    """Settings under which what a death costs is over soon."""
    return SWIFT


@pytest.fixture(scope="package")
def product(swift):
    """The stack that the tests of this folder share, with a relay before its broker, and somebody who asks in it."""
    home = Path(tempfile.mkdtemp(prefix="countersign-stack-"))
    failpoints = home / "failpoints"
    failpoints.mkdir()
    stack = Stack(demo=False, home=home)
    relay = Proxy(stack.layout.valkey_socket)
    other = rabbitmq.RabbitMQ().start() if BROKER == "rabbitmq" else None
    url = other.url if other else f"redis://127.0.0.1:{relay.port}/0"
    stack.env = {**swift, VARIABLE: str(failpoints), "COUNTERSIGN_BROKER_URL": url}
    try:
        stack.start()
        with asking(stack) as ask:
            ask.people(home / "people")  # before anybody else takes the names of their teams
            yield stack, ask, relay
    finally:
        stack.stop()
        relay.close()
        stack.remove()
        if other:
            other.remove()


@pytest.fixture
def stack(product):
    """The same, whole and at rest again at the end of each test."""
    stack, ask, _ = product
    yield stack
    sound.check(stack, ask)


@pytest.fixture
def ask(product):
    """Makes approved runs; the answer comes when their transactions have committed."""
    return product[1]


@pytest.fixture
def relay(product):
    """What stands before the broker; it passes everything on again at the end."""
    relay = product[2]
    relay.waited.clear()
    yield relay
    relay.be("pass")


@pytest.fixture(scope="package")
def sessions(product):
    """The cookies of three people who ask for changes over HTTP, and the file to which what they start writes."""
    stack, ask, _ = product
    witness = stack.home / "people"
    return ask.people(witness), witness


@pytest.fixture
def visit(product, sessions):
    """One of these people at the web server, over a connection that is closed at the end."""
    with contextlib.ExitStack() as opened:

        def visit(name: str) -> Visitor:
            visitor = Visitor(product[0].port, sessions[0][name])
            opened.callback(visitor.connection.close)
            return visitor

        yield visit


@pytest.fixture
def witness(tmp_path):
    """A file to which each attempt writes when it begins and when it ends."""
    return tmp_path / "witness"
