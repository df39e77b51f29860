"""A relay before the broker that can be told to break: to fall silent, or to swallow what a consumer waits for.

It is the witness of how long each client bore the silence.
"""

import contextlib
import selectors
import socket
import threading
import time
from pathlib import Path
from typing import Literal

Mode = Literal["pass", "silent", "swallow"]


class Link:
    """One client and its connection to the server; None while the relay was silent at its beginning."""

    def __init__(self, client: socket.socket, server: socket.socket | None) -> None:
        self.client, self.server = client, server
        self.consumes = False  # it has asked to be given the next message
        self.unanswered_at: float | None = None


class Proxy:
    """Listens on a free port of this machine; one thread carries everything."""

    def __init__(self, to: Path) -> None:
        self.to, self.mode, self.waited = to, "pass", list[float]()
        self.swallowed = 0
        self.door = socket.create_server(("127.0.0.1", 0))
        self.port = self.door.getsockname()[1]
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.door, selectors.EVENT_READ)
        self.links: dict[socket.socket, Link] = {}
        self.closing = False
        self.thread = threading.Thread(target=self._carry, name="proxy", daemon=True)
        self.thread.start()

    def be(self, mode: Mode) -> None:
        """From now on; to pass again is to cut what was broken, so that clients begin anew."""
        self.mode = mode
        if mode == "pass":
            for link in list(self.links.values()):
                for end in (link.client, link.server):
                    if end is not None:
                        with contextlib.suppress(OSError):
                            end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.closing = True
        self.thread.join()
        for end in [self.door, *self.links]:
            end.close()
        self.selector.close()

    def _carry(self) -> None:
        while not self.closing:
            for ready, _ in self.selector.select(0.2):
                if ready.fileobj is self.door:
                    self._accept()
                elif isinstance(ready.fileobj, socket.socket) and ready.fileobj in self.links:
                    self._pass_on(ready.fileobj, self.links[ready.fileobj])

    def _accept(self) -> None:
        client, _ = self.door.accept()
        server: socket.socket | None = None
        if self.mode != "silent":
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(str(self.to))
            except OSError:
                client.close()
                server.close()
                return
        link = Link(client, server)
        for end in (client, server):
            if end is not None:
                self.links[end] = link
                self.selector.register(end, selectors.EVENT_READ)

    def _pass_on(self, end: socket.socket, link: Link) -> None:
        try:
            data = end.recv(65536)
        except OSError:
            data = b""
        if not data:
            self._end(link)
        elif end is link.client:
            link.consumes = link.consumes or b"BRPOP" in data
            if self.mode == "silent":
                link.unanswered_at = link.unanswered_at or time.monotonic()
            elif link.server is not None:
                self._send(link, link.server, data)
        elif self.mode == "swallow" and link.consumes:
            self.swallowed += 1
        elif self.mode != "silent":
            self._send(link, link.client, data)

    def _send(self, link: Link, end: socket.socket, data: bytes) -> None:
        try:
            end.sendall(data)
        except OSError:
            self._end(link)

    def _end(self, link: Link) -> None:
        if link.unanswered_at is not None:
            self.waited.append(time.monotonic() - link.unanswered_at)
        for end in (link.client, link.server):
            if end is not None and self.links.pop(end, None) is not None:
                self.selector.unregister(end)
                end.close()
