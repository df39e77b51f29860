"""A Vault as far as we speak to one: the key-value engine of version 2 over HTTP, with tokens, seals and deletions.

Written from the public description of the protocol; what it answers, status by status, is what a Vault answers.
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

READS, LOOKS = "hvs.reads-data", "hvs.reads-metadata"


class Vault:
    """One server on a free port; `versions` of a path count from 1, a deleted one is None."""

    def __init__(self) -> None:
        self.versions: dict[str, list[dict[str, str] | None]] = {}
        self.sealed = False
        self.asked: list[tuple[str, str]] = []  # token and path of each request
        vault = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                url = urlsplit(self.path)
                token = self.headers.get("X-Vault-Token", "")
                vault.asked.append((token, url.path))
                status, body = vault.answer(token, url.path, parse_qs(url.query))
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def put(self, path: str, **fields: str) -> int:
        """A new version; its number."""
        self.versions.setdefault(path, []).append(fields)
        return len(self.versions[path])

    def answer(self, token: str, path: str, query: dict[str, list[str]]) -> tuple[int, dict[str, Any]]:
        if self.sealed:
            return 503, {"errors": ["Vault is sealed"]}
        kind, _, name = path.removeprefix("/v1/secret/").partition("/")
        if token not in {READS, LOOKS} or (kind == "data" and token != READS):
            return 403, {"errors": ["1 error occurred:\n\t* permission denied\n\n"]}
        versions = self.versions.get(name, [])
        if not versions:
            return 404, {"errors": []}
        if kind == "metadata":
            told = {str(number): self._about(number, one) for number, one in enumerate(versions, start=1)}
            return 200, {"data": {"current_version": len(versions), "max_versions": 0, "versions": told}}
        number = int(query.get("version", ["0"])[0]) or len(versions)
        if number > len(versions):
            return 404, {"errors": []}
        found = versions[number - 1]
        data = {"data": found, "metadata": {"version": number, **self._about(number, found)}}
        return (404 if found is None else 200), {"data": data}

    def _about(self, number: int, found: dict[str, str] | None) -> dict[str, Any]:
        return {"created_time": f"2026-11-{number:02}T10:00:00Z", "destroyed": False,
                "deletion_time": "" if found is not None else "2026-11-28T10:00:00Z"}  # fmt: skip
