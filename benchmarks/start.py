"""From the last approval to the first line of the step's own code, over HTTP. Needs a running stack."""

import tempfile
import time
from pathlib import Path

from benchmarks import raw
from benchmarks.product import Product, end_of
from benchmarks.row import Row, spread, times
from orchestration.models import Change

CHANGES = 60
WARM = 5  # first uses that nobody counts


def run() -> list[Row]:
    """Controls included."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "began"
        ours = _starts(path)
        with raw.worker():
            control = raw.starts(path, CHANGES)
    middle = len(ours) // 2
    return [
        *spread("approval sent to first line of the step", ours),
        *spread("message sent to first line of a raw Celery task (control)", control),
        times("approval to start against the control, median", sorted(ours)[middle], sorted(control)[middle]),
    ]


def _starts(path: Path) -> list[float]:
    product = Product()
    said = ["/bin/sh", "-c", f"date +%s%N >> {path}"]
    product.install("start", {"begin": {"uses": "command", "with": {"argv": said}, "effect": "idempotent"}})
    reviewer, waits = product.reviewer("noor"), []
    for _ in range(WARM + CHANGES):
        change = product.bank.change(workflow="start")
        product.bank.say(change, "jonas")
        change = Change.objects.select_related("revision__chain").get(pk=change.pk)
        sent = time.time_ns()
        reviewer.approve(change, "Security")
        waits.append((raw.arrival(path) - sent) / 1e9)
        end_of(change.runs.get())
    return waits[WARM:]
