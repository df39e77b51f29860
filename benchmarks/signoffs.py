"""From a sign-off that is sent over HTTP to its answer, which is durable; alone, and with 32 reviewers at once.

The control is one row, committed as durably over a connection of its own, by as many clients.
"""

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from urllib.parse import quote

import psycopg

from benchmarks.product import Product
from benchmarks.row import Row, spread, times
from orchestration.models import Change

ALONE = 100
CLIENTS = 32
EACH = 8
WARM = 10


def run() -> list[Row]:
    """Controls included."""
    product, rows = Product(), []
    for clients, each in ((1, ALONE + WARM), (CLIENTS, EACH)):
        said = f"{clients} client{'s' if clients > 1 else ''}"
        ours = _sign_offs(product, clients, each)[WARM:]
        control = _inserts(clients, each)[WARM:]
        rows += spread(f"sign-off sent to durable answer, {said}", ours)
        rows += spread(f"one row committed (control), {said}", control)
        rows.append(times(f"sign-off against one row, {said}, median", _middle(ours), _middle(control)))
    return rows


def _middle(waits: list[float]) -> float:
    return sorted(waits)[len(waits) // 2]


def _sign_offs(product: Product, clients: int, each: int) -> list[float]:
    """Security's half of chains whose other half stays open, so that nothing starts meanwhile."""
    asked = [product.bank.change() for _ in range(clients * each)]
    found = list(Change.objects.filter(pk__in=[one.pk for one in asked]).select_related("revision__chain"))
    reviewers = [product.reviewer("noor") for _ in range(clients)]
    said = [reviewers[0].approval(one, "Security") for one in found]

    def client(number: int) -> list[float]:
        return [_timed(partial(reviewers[number].send, one)) for one in said[number::clients]]

    return _all(client, clients)


def _inserts(clients: int, each: int) -> list[float]:
    url = f"postgresql://countersign@/countersign?host={quote(os.environ['COUNTERSIGN_RUN_DIR'], safe='')}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS bench_row (id bigserial PRIMARY KEY, said text)")

    def client(_: int) -> list[float]:
        with psycopg.connect(url, autocommit=True) as mine:
            return [
                _timed(lambda: mine.execute("INSERT INTO bench_row (said) VALUES (%s)", ["yes" * 200]))
                for _ in range(each)
            ]

    return _all(client, clients)


def _all(client: Callable[[int], list[float]], clients: int) -> list[float]:
    with ThreadPoolExecutor(clients) as threads:
        return [wait for waits in threads.map(client, range(clients)) for wait in waits]


def _timed(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began
