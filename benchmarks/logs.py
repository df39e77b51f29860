"""What a step prints: stored, and brought to the browsers that look at it. Needs a running stack.

A browser is a socket that hears the hints and fetches the new lines of each over HTTP, as the page does. Several of
them share one connection for HTTP each, in one process of this measurement.
"""

import asyncio
import json
import re
import time
from typing import Any

import websockets
from django.db import connection

from accounts import teams
from accounts.acting import Acting
from benchmarks.product import Product
from benchmarks.row import Row, times
from orchestration.models import Run, StepAttempt
from tests.factories import TEST
from tests.stack import wait_for

MB = 1_000_000
STORED = 10 * MB  # what the tail holds, so that all of it is kept however fast it is printed
FOR = {1: 8 * MB, 100: 200_000, 1_000: 20_000}  # bytes of the log, by browsers
LINE = 100
A_PERSON = 50  # browsers of one: a web process keeps no more than 64 live pages for anybody


def run() -> list[Row]:
    """Controls included."""
    product = Product()
    stored, control = _stored(product), _written_raw()
    rows = [
        Row("log printed and stored", stored, "MB/s"),
        Row("the same bytes committed in the same pieces (control)", control, "MB/s"),
        times("log stored against the control", stored, control),
    ]
    for browsers, size in FOR.items():
        rate, hints = asyncio.run(_delivered(product, browsers, size))
        rows += [
            Row(f"log brought to {browsers:,} browsers, together", rate, "MB/s"),
            Row(f"the last hint at all of {browsers:,} sockets, alone (control)", hints * 1000, "ms"),
        ]
    return rows


def _step(size: int, wait: float = 0) -> dict[str, Any]:
    script = f"sleep {wait}; yes {'x' * (LINE - 1)} | head -c {size}"
    return {"uses": "command", "with": {"argv": ["/bin/sh", "-c", script]}}


def _stored(product: Product) -> float:
    product.install("flood", {"a": _step(STORED)})
    made = product.approved("flood").runs.get()
    wait_for(lambda: Run.objects.filter(pk=made.pk, state="succeeded").exists(), seconds=60)
    attempt = StepAttempt.objects.get(step__run=made)
    assert attempt.ended_at is not None
    assert attempt.dropped_bytes == 0
    return STORED / MB / (attempt.ended_at - attempt.started_at).total_seconds()


def _written_raw() -> float:
    """As many bytes, one statement and one commit for each megabyte, into a table without anything else."""
    piece, rows = b"x" * 65_536, STORED // 65_536
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS bench_raw (id bigserial PRIMARY KEY, data bytea)")
        began = time.perf_counter()
        for start in range(0, rows, 16):
            batch = [piece] * min(16, rows - start)
            cursor.execute("INSERT INTO bench_raw (data) SELECT unnest(%s::bytea[])", [batch])
        took = time.perf_counter() - began
        cursor.execute("DROP TABLE bench_raw")
    return STORED / MB / took


async def _delivered(product: Product, browsers: int, size: int) -> tuple[float, float]:
    """MB a second over all browsers, from the first line to the last byte at the last of them."""
    name = f"print{browsers}"
    made = await asyncio.to_thread(_started, product, name, size)
    cookies = await asyncio.to_thread(_viewers, product, -(-browsers // A_PERSON))
    everybody = [Page(product, made, cookies[number // A_PERSON]) for number in range(browsers)]
    gate = asyncio.Semaphore(50)
    await asyncio.gather(*(one.open(gate) for one in everybody))
    began = time.perf_counter()
    await asyncio.gather(*(one.follow(size // LINE) for one in everybody))
    first = min(one.first_at for one in everybody)
    took = time.perf_counter() - max(began, first)
    for one in everybody:
        await one.close()
    heard = sorted(one.heard_at for one in everybody)
    return browsers * size / MB / took, heard[-1] - heard[0]


def _viewers(product: Product, count: int) -> list[str]:
    """The cookies of so many people who may see the runs."""
    for number in range(count):
        name = f"viewer-{number}"
        if name not in product.bank.people:
            user = teams.create_person(username=name, name=name.title(), by=TEST)
            teams.join(product.bank.teams["payments"], user, by=TEST)
            product.bank.people[name] = Acting(user, "session")
    return [product.reviewer(f"viewer-{number}").headers["Cookie"] for number in range(count)]


def _started(product: Product, name: str, size: int) -> Run:
    product.install(name, {"a": _step(size, wait=20 if "1000" in name else 6)})
    made: Run = product.approved(name).runs.get()
    wait_for(lambda: Run.objects.filter(pk=made.pk, state="running").exists())
    return made


class Page:
    """One browser on the page of a run."""

    def __init__(self, product: Product, run: Run, cookie: str) -> None:
        self.host, self.port = product.url.hostname, product.url.port
        self.run, self.cookie = run, cookie
        self.lines, self.first_at, self.heard_at = 0, float("inf"), 0.0

    async def open(self, gate: asyncio.Semaphore) -> None:
        async with gate:
            origin: Any = f"http://{self.host}:{self.port}"
            self.live = await websockets.connect(
                f"ws://{self.host}:{self.port}/ws/", additional_headers={"Cookie": self.cookie}, origin=origin,
                open_timeout=60, ping_interval=None,
            )  # fmt: skip
            await self.live.send(json.dumps({"subscribe": [f"run:{self.run.pk}"]}))
            self.reader, self.writer = await asyncio.open_connection(self.host, self.port)

    async def follow(self, lines: int) -> None:
        """Until so many lines are here."""
        while self.lines < lines:
            if await self.hint():
                while await self.fetch():
                    pass

    async def hint(self) -> bool:
        """Whether it is time to ask: a hint said so, or none came for ten seconds, as for a page."""
        try:
            message = json.loads(await asyncio.wait_for(self.live.recv(), 10))
        except TimeoutError:
            return True
        if message["kind"] == "log":
            self.heard_at = time.perf_counter()
            self.first_at = min(self.first_at, self.heard_at)
        return bool(message["kind"] == "log")

    async def fetch(self) -> bool:
        """The window behind what is known; whether there is more."""
        path = f"/runs/{self.run.key}/steps/a/log/?first={self.lines + 1}&count=500"
        head = f"GET {path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\nCookie: {self.cookie}\r\n\r\n"
        self.writer.write(head.encode())
        told = await self.reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", told, re.IGNORECASE)
        assert length is not None, told
        content = await self.reader.readexactly(int(length[1]))
        if (
            b" 200 " not in told[:20]
        ):  # a thousand at once are more than it answers in time: as a page does, again
            await asyncio.sleep(1)
            return True
        page = json.loads(content)
        self.lines = max([self.lines, *(one["line"] for one in page["results"])])
        return bool(page["more"])

    async def close(self) -> None:
        self.writer.close()
        await self.live.close()
