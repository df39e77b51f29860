"""Where no step may go: every disguise of a private place is refused, and nothing is sent there. (X09)"""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from orchestration.actions import egress, web
from orchestration.actions.base import Failed
from orchestration.actions.egress import PlaceRefused, place, resolve
from tests.orchestration.far import Told, Witness, context, far

PRIVATE = [
    "127.0.0.1", "127.1.2.3", "localhost", "LOCALHOST", "::1", "0.0.0.0", "::",
    "10.1.2.3", "172.16.0.1", "192.168.0.1", "100.64.0.1", "192.0.0.1", "198.18.0.1", "240.0.0.1", "255.255.255.255",
    "169.254.169.254", "168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254",
    "fe80::1", "fc00::1", "fec0::1", "224.0.0.1", "ff02::1", "2001:db8::1", "100::1",
    "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:8.8.8.8", "::127.0.0.1", "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::7f00:1", "2002:7f00:1::", "2002:a9fe:a9fe::1",
    "2001:0:0:0:0:0:80ff:fffe",
]  # fmt: skip
DISGUISED = ["2130706433", "0177.0.0.1", "0x7f000001", "0x7f.1", "127.1", "127.0.1", "0", "017700000001", "134744072",
             "0x08080808", "8.8.2056", "127.0.0.1.", "1.2.3.4.5"]  # fmt: skip
NO_PLACES = [
    "file:///etc/passwd", "gopher://127.0.0.1:{port}/_GET", "ftp://127.0.0.1:{port}/", "unix:///run/docker.sock",
    "http+unix://%2Frun%2Fdocker.sock/", "dict://127.0.0.1:{port}/", "HTTP:127.0.0.1:{port}", "//127.0.0.1:{port}/",
    "http://user@127.0.0.1:{port}/", "http://user:word@127.0.0.1:{port}/", "http://good.example@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}#@good.example/", "http://127.0.0.1:{port}\\@good.example/", "http://good.example\\@127.0.0.1",
    "http://127.0.0.1:{port}/\r\nHost: x", "http://127.0.0.1:{port}/ HTTP/1.1\r\nX: y", "http://127.0.0.1%0d%0a:{port}/",
    "http://127.0.0.1:{port}/\n", "http://127.0.0.1\t:{port}/", " http://127.0.0.1:{port}/", "http:///", "http://",
    "http://127.0.0.1:99999/", "http://127.0.0.1:0/", "http://127.0.0.1:-1/", "http://[fe80::1%25lo]:{port}/",
    "http://[::1/", "http://\uff11\uff12\uff17.0.0.1:{port}/", "http://①②⑦.0.0.1/",
    "http://localhost\u3002/", "http://\uff4cocalhost/",
    "http://127。0。0。1/", "http://[::ffff:127.0.0.1%eth0]/", "http://%31%32%37.0.0.1:{port}/", "http://\u202e1.0.0.721/",
]  # fmt: skip


@pytest.fixture
def witness():
    """Whoever connects to this machine at the port is counted."""
    made = Witness()
    yield made
    made.close()


@pytest.mark.parametrize("host", [*PRIVATE, *DISGUISED])
def test_x09_a_private_place_is_refused_in_every_disguise_and_nothing_is_sent(witness, host):
    shown = f"[{host}]" if ":" in host else host
    with pytest.raises(PlaceRefused, match="nothing was sent"):
        web.send(context()[0], "GET", place(f"http://{shown}:{witness.port}/"))
    assert witness.count == 0


@pytest.mark.parametrize("url", NO_PLACES)
def test_x09_what_is_no_plain_address_is_refused_and_nothing_is_sent(witness, url):
    with pytest.raises(PlaceRefused, match="nothing was sent"):
        web.send(context()[0], "GET", place(url.format(port=witness.port)))
    assert witness.count == 0


def test_the_witness_would_have_seen_it(witness, monkeypatch):
    monkeypatch.setenv(egress.ALLOWED, "127.0.0.1")
    with pytest.raises(web.NoAnswer):
        web.send(context()[0], "GET", place(f"http://127.0.0.1:{witness.port}/"))
    assert witness.count == 1


@pytest.mark.parametrize(
    "url", ["https://example.com", "http://a.example:8080/x?y=%20z", "https://[2606:4700::1]/", "http://1.1.1.1?q"]
)  # fmt: skip
def test_a_plain_address_is_understood(url):
    assert str(place(url)).startswith(url.partition("?")[0])


@pytest.mark.parametrize("host", ["1.1.1.1", "2606:4700::1111"])
def test_a_public_place_is_not_refused(host):
    assert resolve(host, 80) == [host]


def test_an_operator_may_allow_a_host_or_all_below_a_domain(monkeypatch):
    monkeypatch.setenv(egress.ALLOWED, "localhost, .bank.internal")
    assert set(resolve("localhost", 80)) <= {"127.0.0.1", "::1"}
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(0, 0, 0, "", ("10.1.2.3", 80))])
    assert resolve("A.Bank.Internal.", 80) == ["10.1.2.3"]
    for other in ("bank.internal", "evilbank.internal", "bank.internal.example", "localhost.example"):
        with pytest.raises(PlaceRefused, match="private"):
            resolve(other, 80)


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "168.63.129.16", "fe80::1", "0.0.0.0", "224.0.0.1", "::ffff:169.254.169.254",
             "64:ff9b::a9fe:a9fe", "fd00:ec2::254", "2002:a9fe:a9fe::"],
)  # fmt: skip
def test_metadata_is_refused_even_where_it_is_listed(monkeypatch, host):
    monkeypatch.setenv(egress.ALLOWED, host)
    with pytest.raises(PlaceRefused, match="no step may talk to"):
        resolve(host, 80)


def test_one_private_address_among_public_ones_is_enough(monkeypatch):
    found = [(0, 0, 0, "", ("1.1.1.1", 80)), (0, 0, 0, "", ("10.0.0.1", 80))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(PlaceRefused):
        resolve("both.example", 80)


def test_x09_a_name_that_changes_its_mind_is_asked_once(monkeypatch, witness):
    """The first answer is judged and used; there is no second question whose answer could differ."""
    asked: list[str] = []
    answers = iter(["1.1.1.1", "127.0.0.1", "127.0.0.1"])

    def answer(host, *_, **__):
        asked.append(host)
        return [(0, 0, 0, "", (next(answers), witness.port))]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    dialled: list[object] = []

    def connect(_, address):
        dialled.append(address)
        raise OSError("there is no way out of this test")

    monkeypatch.setattr(socket.socket, "connect", connect)
    with pytest.raises(egress.NotSent):
        web.send(context()[0], "GET", place(f"http://flip.example:{witness.port}/"))
    monkeypatch.undo()
    assert (asked, dialled) == (["flip.example"], [("1.1.1.1", witness.port)])
    assert witness.count == 0


@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("ip"),
    reason="*** NO NETWORK OF ITS OWN (root, unshare, ip): THE FLIPPING RESOLVER IS LEFT OUT ***",
)
def test_x09_a_resolver_that_flips_never_leads_to_a_private_place():
    """In a network of its own, with a name server of its own and every private address alive."""
    script = Path(__file__).with_name("rebound.py")
    argv = ["unshare", "-mn", sys.executable, "-m", "tests.orchestration.rebound"]
    done = subprocess.run(
        argv, cwd=script.parents[2], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["questions"] >= 20
    assert told["reached"]["public"] > 0
    assert told["refused"] > 0
    assert told["reached"]["private"] == 0


def test_a_proxy_of_the_environment_is_ignored(monkeypatch):
    with far(lambda _: Told(200, b"direct")) as server, far(lambda _: Told(200, b"proxy")) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.setenv(egress.ALLOWED, "127.0.0.1")
        assert web.send(context()[0], "GET", place(server.url)).body == b"direct"
        assert proxy.asked == []


def test_a_host_without_an_address_is_told_as_such():
    with pytest.raises(Failed, match="nothing was sent"):
        resolve("no-such-host.invalid", 80)
