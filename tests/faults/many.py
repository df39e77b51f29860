"""Sends approvals to a running stack, each at the instant its change shows as waiting, in a process of its own.

Out: one JSON line that says what every change and every sign-off was answered. The clients do what a good client
does: after a broken connection, a 5xx or a 429 they send the same request again, with the same Idempotency-Key.
"""

import json
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException
from typing import Any
from uuid import uuid4

import django

CLIENTS = 4  # people who ask; each change is approved by two more at once
STEP = """
apiVersion: countersign.dev/v1
kind: Workflow
metadata: {{name: deploy, title: Deploy, owner: payments}}
spec:
  summary: Deploy {{{{service}}}} {{{{version}}}} to {{{{environment}}}}
  inputs: {{version: {{type: string, pattern: '^[0-9]+$', title: Version}}}}
  environments: [production]
  steps:
    tell:
      uses: command
      with: {{argv: [/bin/sh, -c, "echo $0 >> {witness}", "{{{{inputs.version}}}}"]}}
      effect: idempotent
"""
GIVE_UP_SECONDS = 120
CSRF = "x" * 32


class Visitor:
    """One person's session over one connection of one thread."""

    def __init__(self, port: int, cookie: str) -> None:
        self.connection = HTTPConnection("localhost", port, timeout=30)
        self.headers = {"Cookie": cookie, "X-CSRFToken": CSRF, "Content-Type": "application/json"}
        self.repeated = 0

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The answer's body; sent again until there is one that counts."""
        headers = {**self.headers, "Idempotency-Key": str(uuid4())}
        deadline = time.monotonic() + GIVE_UP_SECONDS
        while time.monotonic() < deadline:
            try:
                self.connection.request(method, f"/api/v1/{path}", body and json.dumps(body), headers)
                answer = self.connection.getresponse()
                told = answer.read()
            except (OSError, HTTPException):
                self.connection.close()
                self._pause(0.1)
                continue
            if answer.status < 300:
                return json.loads(told)
            if answer.status != 429 and answer.status < 500:
                raise AssertionError(f"{method} {path}: {answer.status} {told.decode()}")
            self._pause(float(answer.headers.get("Retry-After", 0.1)))
        raise AssertionError(f"{method} {path}: no answer within {GIVE_UP_SECONDS} s")

    def _pause(self, seconds: float) -> None:
        self.repeated += 1
        time.sleep(seconds)


def main(port: int, changes: int, witness: str) -> None:
    django.setup()
    from django.conf import settings
    from django.db import connection
    from django.test import Client

    from tests.browser import sign_in
    from tests.factories import Bank

    bank = Bank(STEP.format(witness=witness))

    def session(name: str) -> str:
        client = sign_in(Client(), bank.user(name))
        return (
            f"{client.cookies.output(header='', sep=';').split(';')[0]}; {settings.CSRF_COOKIE_NAME}={CSRF}"
        )

    sessions = {name: session(name) for name in ("mara", "jonas", "noor")}
    connection.close()
    numbers, lock, answers = iter(range(changes)), threading.Lock(), []

    def client(_: int) -> int:
        people = {name: Visitor(port, key) for name, key in sessions.items()}
        with ThreadPoolExecutor(2) as both:
            while True:
                with lock:
                    number = next(numbers, None)
                if number is None:
                    return sum(one.repeated for one in people.values())
                answers.append(one_change(people, number, both))

    with ThreadPoolExecutor(CLIENTS) as clients:
        repeated = sum(clients.map(client, range(CLIENTS)))
    print(json.dumps({"answers": answers, "repeated": repeated}), flush=True)


def one_change(people: dict[str, Visitor], number: int, both: ThreadPoolExecutor) -> dict[str, Any]:
    """Ask for one, look until it shows as waiting, and let two people approve it in that instant."""
    asked = {"workflow": "deploy", "service": "web-bank", "environment": "production",
             "inputs": {"version": str(number)}, "reason": "One of many."}  # fmt: skip
    key = people["mara"].ask("POST", "changes/", asked)["key"]
    while (change := people["mara"].ask("GET", f"changes/{key}/"))["state"] != "waiting":
        time.sleep(0.005)

    def approve(who: str, stage: str) -> Any:
        place = next(one["id"] for one in change["chain"]["stages"] if one["name"] == stage)
        said = {"stage": place, "decision": "approve", "digest": change["digest"],
                "chain_digest": change["chain"]["digest"], "comment": "Read it."}  # fmt: skip
        return people[who].ask("POST", f"changes/{key}/sign-offs/", said)["verdict"]

    verdicts = list(both.map(approve, ("jonas", "noor"), ("Service owner", "Security")))
    return {"change": key, "version": number, "verdicts": verdicts}


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
