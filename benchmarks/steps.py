"""What the runner gets done: approved changes of five steps, and one step that fans out. Needs a running stack.

The changes are asked for and approved while the worker is paused; counted is from its waking to the last end.
"""

import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db.models import Max, Min

from benchmarks import raw
from benchmarks.product import Product, end_of
from benchmarks.row import Row, times
from orchestration.models import Run, StepAttempt

RUNS, STEPS, WIDTH, FANS = 60, 5, 100, 5
NOTHING = {"uses": "wait", "with": {"seconds": 0}}
SPAWNED = {"uses": "command", "with": {"argv": ["/bin/true"]}}


def run() -> list[Row]:
    """Controls included."""
    product = Product()
    inside = _rate(product, "inside", NOTHING)
    spawned = _rate(product, "spawned", SPAWNED)
    fan = sorted(_fan_out(product) for _ in range(FANS))[FANS // 2]
    with raw.worker():
        bare = RUNS * STEPS / raw.chains(RUNS, STEPS)
        bare_fan = sorted(raw.fan_out(WIDTH) for _ in range(FANS))[FANS // 2]
    alone, beside = _spawning(1), _spawning(2)
    return [
        Row("steps in the worker's process", inside, "per second"),
        Row("raw Celery tasks, chained by five (control)", bare, "per second"),
        times("steps against raw Celery", inside, bare),
        Row("steps that spawn a command", spawned, "per second"),
        Row("processes spawned one after the other (control)", alone, "per second"),
        Row("processes spawned by two threads (control)", beside, "per second"),
        times("spawned steps against two threads", spawned, beside),
        Row(f"1, then {WIDTH} at once, then 1", fan, "s"),
        Row("the same as a raw Celery chord (control)", bare_fan, "s"),
        times("fan-out against the control", fan, bare_fan),
    ]


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


def _fan_out(product: Product) -> float:
    name = "fan"
    if not Run.objects.filter(change__workflow__slug=name).exists():
        middle = {f"m{number}": {**NOTHING, "needs": ["first"]} for number in range(WIDTH)}
        product.install(name, {"first": NOTHING, **middle, "last": {**NOTHING, "needs": list(middle)}})
    ended = end_of(product.approved(name).runs.get())
    assert ended.started_at is not None
    assert ended.ended_at is not None
    return (ended.ended_at - ended.started_at).total_seconds()


def _spawning(threads: int, number: int = 400) -> float:
    began = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda _: subprocess.run(["/bin/true"], check=True), range(number)))
    return number / (time.perf_counter() - began)
