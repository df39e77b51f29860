"""A thousand runs of five steps, one queue: how fast, and how evenly. Needs a running stack.

All are approved while the worker is paused; counted is from its waking to the last end. `--runs` makes it fewer.
"""

import os
from datetime import datetime

from benchmarks import raw
from benchmarks.product import Product, end_of
from benchmarks.row import Row, spread, times
from benchmarks.steps import NOTHING, STEPS
from orchestration.models import Run

RUNS = int(os.environ.get("BENCH_RUNS", "1000"))
PARTS = 10


def run() -> list[Row]:
    """Controls included."""
    product = Product()
    keys = [f"s{number}" for number in range(STEPS)]
    product.install("runs", {key: {**NOTHING, "needs": keys[:place][-1:]} for place, key in enumerate(keys)})
    with product.worker_paused():
        asked = [product.approved(workflow="runs").runs.get() for _ in range(RUNS)]
    for one in asked:
        end_of(one, seconds=1800)
    rows = Run.objects.filter(pk__in=[one.pk for one in asked]).values_list("started_at", "ended_at")
    spans = [(start, end) for start, end in rows if start and end]
    moments = [min(begun for begun, _ in spans), *sorted(ended for _, ended in spans)]
    whole = RUNS / (moments[-1] - moments[0]).total_seconds()
    with raw.worker():
        bare = RUNS / raw.chains(RUNS, STEPS)
    return [
        Row(f"{RUNS:,} runs of five steps", whole, "runs per second"),
        *_parts(moments),
        Row(f"{RUNS:,} raw Celery chains of five (control)", bare, "chains per second"),
        times("runs against raw Celery", whole, bare),
        *spread(
            "one of these runs, first start to end", [(end - start).total_seconds() for start, end in spans]
        ),
    ]


def _parts(moments: list[datetime]) -> list[Row]:
    """The slowest and the fastest tenth, in the order of their ends."""
    size = len(moments) // PARTS
    rates = [size / (moments[(n + 1) * size] - moments[n * size]).total_seconds() for n in range(PARTS)]
    return [
        Row("the slowest tenth of them", min(rates), "runs per second"),
        Row("the fastest tenth of them", max(rates), "runs per second"),
    ]
