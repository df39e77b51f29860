"""Far places on this machine: a server that answers as a test tells it and remembers what it was sent, and contexts
of a step for code that is called without a process of its own."""

import json
import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from orchestration.actions.base import NOWHERE, Context


def context(with_=None, *, seconds=20.0, key="key"):
    """A step's context as its own process would make it, and the lines that it says."""
    lines: list[str] = []
    made = Context(
        with_=with_ or {}, idempotency_key=key, fence="step:1", cancelled=threading.Event(),
        deadline=time.monotonic() + seconds, say=lines.append, phase=os.environ.get("STEP_PHASE", "apply"),
        artifacts=Path(os.environ.get("STEP_ARTIFACTS", NOWHERE)),
        secrets=Path(os.environ["STEP_SECRETS"]) if "STEP_SECRETS" in os.environ else None,
    )  # fmt: skip
    return made, lines


@dataclass
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Told:
    """One answer."""

    status: int = 200
    body: Any = b""
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def bytes(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


class Far(ThreadingHTTPServer):
    """`answers` gets each request; `asked` is all that arrived."""

    daemon_threads = True

    def __init__(self, answers: Callable[[Asked], Told], host="127.0.0.1", port=0) -> None:
        self.asked: list[Asked] = []
        self.answers = answers
        if ":" in host:
            self.address_family = socket.AF_INET6
        super().__init__((host, port), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Far

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(self.command, parts.path, parts.query, headers, self.rfile.read(length))
        self.server.asked.append(asked)
        told = self.server.answers(asked)
        self.send_response(told.status)
        for name, value in told.headers.items():
            self.send_header(name, value)
        if "Content-Length" in told.headers:
            self.close_connection = True  # it lies, and ends before it is whole
        else:
            self.send_header("Content-Length", str(len(told.bytes)))
        self.end_headers()
        self.wfile.write(told.bytes)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - the names that the base looks for

    def log_message(self, *args) -> None:
        """Quiet."""


@contextmanager
def far(answers: Callable[[Asked], Told], **where):
    with Far(answers, **where) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class Witness:
    """Counts whoever connects to a port of this machine, at any of its addresses, whatever they say."""

    def __init__(self, port=0) -> None:
        self.count = 0
        self._held = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
        self.port = self._held.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                one, _ = self._held.accept()
            except OSError:
                return
            self.count += 1
            one.close()

    def close(self) -> None:
        self._held.shutdown(socket.SHUT_RDWR)
        self._held.close()
