"""What the runner gets done: approved changes of five steps, and one step that fans out to 100 and to 1,000.

Needs a running stack. The changes are asked for and approved while the worker is paused; counted is from its waking
to the last end.
"""

import subprocess
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db.models import Max, Min

from benchmarks import raw
from benchmarks.product import Product, end_of
from benchmarks.row import Row, times
from orchestration.models import Run, StepAttempt

RUNS, STEPS = 60, 5
FANS = {100: 5, 1000: 1}  # how wide, how often
MATRIX = 250  # steps that one matrix makes
NOTHING = {"uses": "wait", "with": {"seconds": 0}}
SPAWNED = {"uses": "command", "with": {"argv": ["/bin/true"]}}


def run() -> list[Row]:
    """Controls included."""
    product = Product()
    inside = _rate(product, "inside", NOTHING)
    spawned = _rate(product, "spawned", SPAWNED)
    fans = {width: _middle(_fan_out(product, width) for _ in range(many)) for width, many in FANS.items()}
    with raw.worker():
        bare = RUNS * STEPS / raw.chains(RUNS, STEPS)
        bare_fans = {width: _middle(raw.fan_out(width) for _ in range(many)) for width, many in FANS.items()}
    alone, beside = _spawning(1), _spawning(2)
    return [
        Row("steps in the worker's process", inside, "per second"),
        Row("raw Celery tasks, chained by five (control)", bare, "per second"),
        times("steps against raw Celery", inside, bare),
        Row("steps that spawn a command", spawned, "per second"),
        Row("processes spawned one after the other (control)", alone, "per second"),
        Row("processes spawned by two threads (control)", beside, "per second"),
        times("spawned steps against two threads", spawned, beside),
        *[row for width in FANS for row in _told(width, fans[width], bare_fans[width])],
    ]


def _told(width: int, ours: float, control: float) -> list[Row]:
    return [
        Row(f"1, then {width:,} at once, then 1", ours, "s"),
        Row(f"the same as a raw Celery chord of {width:,} (control)", control, "s"),
        times(f"fan-out to {width:,} against the control", ours, control),
    ]


def _middle(waits: Iterable[float]) -> float:
    ordered = sorted(waits)
    return ordered[len(ordered) // 2]


def _rate(product: Product, name: str, step: dict[str, Any]) -> float:
    keys = [f"s{number}" for number in range(STEPS)]
    product.install(name, {key: {**step, "needs": keys[:place][-1:]} for place, key in enumerate(keys)})
    with product.worker_paused():
        runs = [product.approved(name).runs.get() for _ in range(RUNS)]
    for one in runs:
        end_of(one)
    attempts = StepAttempt.objects.filter(step__run__in=runs)
    span = attempts.aggregate(begin=Min("started_at"), end=Max("ended_at"))
    return attempts.count() / float((span["end"] - span["begin"]).total_seconds())


def _fan_out(product: Product, width: int) -> float:
    name = f"fan-{width}"
    if not Run.objects.filter(change__workflow__slug=name).exists():
        product.install(name, _wide(width))
    ended = end_of(product.approved(name).runs.get(), seconds=600)
    assert ended.started_at is not None
    assert ended.ended_at is not None
    return (ended.ended_at - ended.started_at).total_seconds()


def _wide(width: int) -> dict[str, dict[str, Any]]:
    """As a person would write it: matrices between the first step and the last."""
    each = min(width, MATRIX)
    middle = {
        f"m{number}": {**NOTHING, "needs": ["first"], "matrix": {"n": [f"n{one}" for one in range(each)]}}
        for number in range(width // each)
    }
    return {"first": NOTHING, **middle, "last": {**NOTHING, "needs": list(middle)}}


def _spawning(threads: int, number: int = 400) -> float:
    began = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda _: subprocess.run(["/bin/true"], check=True), range(number)))
    return number / (time.perf_counter() - began)
