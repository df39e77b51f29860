"""Sends approvals to a running stack, each at the instant its change shows as waiting, as good clients do.

After a broken connection, a 5xx or a 429 they send the same request again, with the same Idempotency-Key.
"""

import json
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from typing import Any
from uuid import uuid4

from tests.faults.ask import CSRF

CLIENTS = 4  # people who ask; each change is approved by two more at once
GIVE_UP_SECONDS = 120


class Visitor:
    """One person's session over one connection of one thread."""

    def __init__(self, port: int, cookie: str) -> None:
        self.connection = HTTPConnection("localhost", port, timeout=30)
        self.headers = {"Cookie": cookie, "X-CSRFToken": CSRF, "Content-Type": "application/json"}
        self.repeated, self.slowest = 0, 0.0

    def ask(self, method: str, path: str, body: Any = None, *, key: str | None = None) -> Any:
        """The answer's body; sent again until there is one that counts."""
        key = key or str(uuid4())
        deadline = time.monotonic() + GIVE_UP_SECONDS
        while time.monotonic() < deadline:
            try:
                status, told, again = self.send(method, path, body, key=key)
            except (OSError, HTTPException):
                self.connection.close()
                self._pause(0.1)
                continue
            if status < 300:
                return json.loads(told)
            if status != 429 and status < 500:
                raise AssertionError(f"{method} {path}: {status} {told.decode()}")
            self._pause(again)
        raise AssertionError(f"{method} {path}: no answer within {GIVE_UP_SECONDS} s")

    def send(self, method: str, path: str, body: Any = None, *, key: str) -> tuple[int, bytes, float]:
        """Once: the status, the body, and after how long to come back where it says so."""
        began = time.monotonic()
        headers = {**self.headers, "Idempotency-Key": key}
        self.connection.request(method, f"/api/v1/{path}", body and json.dumps(body), headers)
        answer = self.connection.getresponse()
        told = answer.read()
        self.slowest = max(self.slowest, time.monotonic() - began)
        return answer.status, told, float(answer.headers.get("Retry-After", 0.1))

    def _pause(self, seconds: float) -> None:
        self.repeated += 1
        time.sleep(seconds)


@dataclass
class Told:
    """What every change and every sign-off was answered; how often something had to be sent again."""

    answers: list[dict[str, Any]] = field(default_factory=list)
    repeated: int = 0
    slowest: float = 0.0


def approve_all(
    port: int, sessions: dict[str, str], numbers: Iterable[int], *, clients: int = CLIENTS
) -> Told:
    """A change for each number, asked for and approved."""
    waiting, lock, told = iter(numbers), threading.Lock(), Told()

    def client(_: int) -> None:
        people = {name: Visitor(port, key) for name, key in sessions.items()}
        with ThreadPoolExecutor(2) as both:
            while True:
                with lock:
                    number = next(waiting, None)
                if number is None:
                    break
                told.answers.append(one_change(people, number, both))
        with lock:
            told.repeated += sum(one.repeated for one in people.values())
            told.slowest = max(told.slowest, *(one.slowest for one in people.values()))
        for one in people.values():
            one.connection.close()

    with ThreadPoolExecutor(clients) as threads:
        list(threads.map(client, range(clients)))
    return told


def asked(number: int) -> dict[str, Any]:
    return {"workflow": "deploy", "service": "web-bank", "environment": "production",
            "inputs": {"version": str(number)}, "reason": "One of many."}  # fmt: skip


def said(change: dict[str, Any], stage: str) -> dict[str, Any]:
    """What a reviewer sends who has read the change."""
    place = next(one["id"] for one in change["chain"]["stages"] if one["name"] == stage)
    return {"stage": place, "decision": "approve", "digest": change["digest"],
            "chain_digest": change["chain"]["digest"], "comment": "Read it."}  # fmt: skip


def one_change(people: dict[str, Visitor], number: int, both: ThreadPoolExecutor) -> dict[str, Any]:
    """Ask for one, look until it shows as waiting, and let two people approve it in that instant."""
    key = people["mara"].ask("POST", "changes/", asked(number))["key"]
    while (change := people["mara"].ask("GET", f"changes/{key}/"))["state"] != "waiting":
        time.sleep(0.005)

    def approve(who: str, stage: str) -> Any:
        return people[who].ask("POST", f"changes/{key}/sign-offs/", said(change, stage))["verdict"]

    verdicts = list(both.map(approve, ("jonas", "noor"), ("Service owner", "Security")))
    return {"change": key, "version": number, "verdicts": verdicts}
