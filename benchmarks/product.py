"""The running product as the benchmarks use it: its people, workflows to time, a reviewer over HTTP."""

import http.client
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import psutil
from django.test import Client

from accounts import permissions
from config.embedded.layout import Layout
from orchestration import catalogue
from orchestration.definitions.workflow import load
from orchestration.models import Change, Run
from tests.browser import sign_in
from tests.factories import TEST, Bank
from tests.stack import wait_for

HEAD = """
apiVersion: countersign.dev/v1
kind: Workflow
metadata: {{name: {name}, title: Timed, owner: payments}}
spec:
  summary: Time {{{{service}}}} in {{{{environment}}}}
  inputs: {{version: {{type: string, pattern: '^[0-9]+$', title: Version}}}}
  environments: [production]
  steps:
"""


class Product:
    """A stack that runs with the data directory of this process's environment."""

    def __init__(self) -> None:
        home = Layout(Path(os.environ["COUNTERSIGN_DATA_DIR"]))
        known = json.loads(home.table.read_text())
        self.bank = Bank()
        self.url, self.pids = urlsplit(known["url"]), known["pids"]

    def install(self, name: str, steps: dict[str, dict[str, Any]]) -> None:
        """A workflow of these steps that Mara may ask for."""
        text = HEAD.format(name=name) + "".join(
            f"    {key}: {json.dumps(told)}\n" for key, told in steps.items()
        )
        workflow = catalogue.install(load(text), origin="benchmark", by=TEST)
        for team in ("payments", "security"):
            for verb in ("request", "sign_off", "operate"):
                permissions.grant(self.bank.teams[team], verb, workflow, by=TEST)

    def approved(self, workflow: str) -> Change:
        return self.bank.approved(workflow=workflow)

    @contextmanager
    def worker_paused(self) -> Iterator[None]:
        """Nothing starts within the block."""
        main = psutil.Process(self.pids["worker"])
        everybody = [main, *main.children(recursive=True)]
        for process in everybody:
            process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            for process in reversed(everybody):
                process.send_signal(signal.SIGCONT)

    def reviewer(self, who: str) -> "Reviewer":
        return Reviewer(self, who)


class Reviewer:
    """One person's browser session over one connection."""

    def __init__(self, product: Product, who: str) -> None:
        client = sign_in(Client(), product.bank.user(who))
        token = "x" * 32
        session = "; ".join(f"{one.key}={one.value}" for one in client.cookies.values())
        self.headers = {"Cookie": f"{session}; csrftoken={token}", "X-CSRFToken": token}
        assert product.url.hostname is not None
        self.connection = http.client.HTTPConnection(product.url.hostname, product.url.port)

    def approve(self, change: Change, stage: str) -> None:
        """Send the sign-off, wait for its answer."""
        self.send(self.approval(change, stage))

    def approval(self, change: Change, stage: str) -> tuple[str, str]:
        """Where it is sent, and what."""
        assert change.revision is not None
        chain = change.revision.chain
        said = {
            "stage": str(chain.stages.get(name=stage).pk), "decision": "approve", "digest": change.revision.digest,
            "chain_digest": chain.digest, "comment": "",
        }  # fmt: skip
        return f"/api/v1/changes/{change.key}/sign-offs/", json.dumps(said)

    def send(self, said: tuple[str, str]) -> None:
        """One request, and its answer, which must be that it was done."""
        headers = {**self.headers, "Content-Type": "application/json", "Idempotency-Key": str(uuid4())}
        self.connection.request("POST", *said, headers)
        answer = self.connection.getresponse()
        told = answer.read()
        assert answer.status in {200, 201}, told


def end_of(run: Run, *, seconds: float = 120) -> Run:
    """The run once it has succeeded."""
    ended = Run.objects.filter(pk=run.pk, state=Run.State.SUCCEEDED)
    found: Run = wait_for(ended.first, seconds=seconds, what=f"the end of {run.key}")
    return found
