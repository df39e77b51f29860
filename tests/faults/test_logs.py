"""A browser that never reads, during a log of 100 MB: it costs the server nothing, and nobody else notices.

Takes a minute, most of it until the server gives that browser up.
"""

import base64
import os
import socket
import time
import urllib.request

import psutil
import pytest

from tests.e2e.test_log import ended, run  # noqa: F401 - fixtures
from tests.stack import running, wait_for

pytestmark = pytest.mark.faults
MIB = 1 << 20
FLOOD = [
    "/bin/sh",
    "-c",
    "for i in 1 2 3 4 5 6 7 8 9 10; do yes abcdefghi | head -c 10000000; sleep 0.5; done",
]


@pytest.fixture(scope="module")
def stack(swift):
    """One of its own: its memory is measured."""
    with running(demo=False, env=swift) as stack:
        yield stack


def connected(stack, session, topic):
    """A socket of the live page that is open and subscribed, with a small window for what it is sent."""
    door = socket.socket()
    door.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    door.connect(("localhost", stack.port))
    key = base64.b64encode(os.urandom(16)).decode()
    door.sendall(
        f"GET /ws/ HTTP/1.1\r\nHost: localhost:{stack.port}\r\nOrigin: {stack.url}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
        f"Cookie: session={session}\r\n\r\n".encode()
    )
    assert b" 101 " in door.recv(4096)
    said = f'{{"subscribe": ["{topic}"]}}'.encode()
    mask = bytes(4)
    door.sendall(bytes([0x81, 0x80 | len(said)]) + mask + said)
    return door


def is_open(stack, door):
    """Whether the server still has its end of this connection."""
    port = door.getsockname()[1]
    web = psutil.Process(stack.pids()["web"])
    return any(one.raddr and one.raddr.port == port for one in web.net_connections("tcp"))


def test_f21_a_browser_that_never_reads_costs_nothing_and_is_let_go(stack, run, request):  # noqa: F811
    warm = run("/bin/echo", "warm")
    headers = {"Cookie": f"session={warm['session']}"}

    def page(made, part="?step=a"):
        asked = urllib.request.Request(f"{stack.url}/runs/{made['run']}/{part}", headers=headers)  # noqa: S310
        with urllib.request.urlopen(asked) as answer:  # noqa: S310
            return answer.read()

    wait_for(lambda: b"Succeeded" in page(warm), what="the end of the first")
    web = psutil.Process(stack.pids()["web"])
    made = run(*FLOOD)
    (run_id,) = stack.query("SELECT id FROM orchestration_run WHERE number = %s", int(made["run"][4:]))[0]
    stalled = [connected(stack, made["session"], f"run:{run_id}") for _ in range(3)]
    page(made), page(made, "steps/a/log/?first=1")
    before = web.memory_info().rss
    most, began = 0, time.monotonic()
    while b"Succeeded" not in page(made):
        most = max(most, web.memory_info().rss - before)
        assert time.monotonic() - began < 120
    print(f"web grew by {most / MIB:.1f} MiB during the flood")
    assert most < 20 * MIB
    wait_for(
        lambda: not any(is_open(stack, one) for one in stalled),
        seconds=90,
        what="the end of the stalled sockets",
    )
    print(f"the stalled sockets were closed after {time.monotonic() - began:.0f} s")
    for one in stalled:
        one.close()
    assert b"Succeeded" in page(made)
    assert web.memory_info().rss - before < 20 * MIB
