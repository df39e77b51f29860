"""Does in a running stack what people do there, in a process of its own: one JSON line in, one out."""

import json
import sys
import time
from datetime import datetime
from typing import Any

import django

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
CSRF = "x" * 32


class Inside:
    """What this process knows of the stack; its people and workflows are made when first asked for."""

    def __init__(self) -> None:
        self.world: Any = None
        self.bank: Any = None

    def run(self, steps: list[dict[str, Any]], count: int, says: dict[str, Any]) -> Any:
        """Approved runs of these steps, ready to start; how long the slowest took to be asked for."""
        from tests.orchestration.world import World, step

        self.world = self.world or World()
        if "not_after" in says:
            says["not_after"] = datetime.fromisoformat(says["not_after"])
        ids, slowest = [], 0.0
        for _ in range(count):
            began = time.monotonic()
            ids.append(str(self.world.run(*[step(**one) for one in steps], **says).pk))
            slowest = max(slowest, time.monotonic() - began)
        return {"runs": ids, "slowest": slowest}

    def people(self, witness: str) -> dict[str, str]:
        """The cookies of three people, signed in this moment."""
        from django.conf import settings
        from django.test import Client

        from tests.browser import sign_in
        from tests.factories import Bank

        self.bank = self.bank or Bank(STEP.format(witness=witness))

        def session(name: str) -> str:
            client = sign_in(Client(), self.bank.user(name))
            cookie = client.cookies.output(header="", sep=";").split(";")[0]
            return f"{cookie}; {settings.CSRF_COOKIE_NAME}={CSRF}"

        return {name: session(name) for name in ("mara", "jonas", "noor")}

    def reconcile(self) -> dict[str, int]:
        """One round of the reconciler, by this process."""
        from orchestration.engine.reconcile import reconcile

        return reconcile()

    def faults(self) -> list[dict[str, Any]]:
        """What is said about each process of a worker that is there."""
        from orchestration import workers

        return [{"boot": str(one.node.boot_id), "faults": one.faults} for one in workers.processes()]

    def silence(self) -> dict[str, int]:
        """How long the broker has brought nobody anything."""
        from orchestration import workers

        return {"seconds": workers.silence()}

    def alarms(self) -> list[str]:
        """What stands above every page of whoever may read the log."""
        from audit.pages import integrity

        return [one["title"] for one in integrity.look()]

    def check(self) -> dict[str, Any]:
        """The invariants that the product counts itself, and what an examination of the ledger finds."""
        from audit.ledger import checkpoint, examine
        from orchestration.engine.invariants import violations

        report = examine.examine(checkpoint.keys())
        return {"violations": violations(), "findings": [one.text for one in report.findings]}


def main() -> None:
    django.setup()
    from django.db import DatabaseError, connections

    inside = Inside()
    for line in sys.stdin:
        connections.close_all()  # the database may have been another one since
        asked = json.loads(line)
        try:
            answer = getattr(inside, asked.pop("do"))(**asked)
        except DatabaseError as error:  # it was killed: nobody is promised anything
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
