"""What everything costs while it does nothing: each page counted once, shared ones in parts. Needs a running stack.

The proportional set size of Linux: a page that five processes share counts a fifth in each.
"""

import json
import os
import time
from collections import defaultdict
from pathlib import Path

import psutil

from benchmarks import raw
from benchmarks.row import Row
from config.embedded.layout import Layout
from config.embedded.process import leftovers
from tests.stack import running

SETTLE_SECONDS = 10
FEW, MORE = 2, 6  # processes of a worker


def run() -> list[Row]:
    """By process of the stack, and their sum."""
    time.sleep(SETTLE_SECONDS)
    home = Path(os.environ["COUNTERSIGN_DATA_DIR"])
    table = json.loads(Layout(home).table.read_text())
    names = {pid: name for name, pid in [*table["pids"].items(), ("supervisor", table["supervisor"])]}
    found: dict[str, float] = defaultdict(float)
    for pid in {*leftovers(home), *names} - {os.getpid()}:
        found[_family(pid, names)] += _megabytes(pid)
    rows = [Row(f"memory of {name}, idle", value, "MiB") for name, value in sorted(found.items())]
    whole = Row("memory of everything, idle", sum(found.values()), "MiB")
    return [*rows, whole, *_one_more(table["pids"]["worker"])]


def _one_more(worker: int) -> list[Row]:
    """What another process of a worker costs: a worker of six beside one of two, and the same of bare Celery."""
    with running(demo=False, env={"COUNTERSIGN_WORKER_PROCESSES": str(MORE)}) as stack:
        time.sleep(SETTLE_SECONDS)
        ours = _each(_tree(stack.pids()["worker"]), _tree(worker))
    with raw.worker(FEW) as few, raw.worker(MORE) as more:
        time.sleep(SETTLE_SECONDS)  # the first of them may have done what the second was warmed with
        bare = _each(_tree(more), _tree(few))
    return [
        Row("memory of one more process of the worker, idle", ours, "MiB"),
        Row("memory of one more process of a raw Celery worker (control)", bare, "MiB"),
    ]


def _each(more: float, few: float) -> float:
    return (more - few) / (MORE - FEW)


def _tree(pid: int) -> float:
    """A process and whatever descends from it."""
    main = psutil.Process(pid)
    return sum(_megabytes(one.pid) for one in [main, *main.children(recursive=True)])


def _family(pid: int, names: dict[int, str]) -> str:
    """Which process of the stack it is, or descends from."""
    for one in [psutil.Process(pid), *psutil.Process(pid).parents()]:
        if one.pid in names:
            return names[one.pid]
    return "others"


def _megabytes(pid: int) -> float:
    told = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in told.splitlines() if line.startswith("Pss:")) / 1024
