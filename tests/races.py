"""Threads that meet at a barrier, and how often they do in each test of a race; `make races` asks for 1,000."""

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import connection

from audit.refusals import Refusal
from tests.audit.log import sequence

ROUNDS = int(os.environ.get("RACE_ROUNDS", "25"))
EVERY = 50


def rounds() -> Iterator[int]:
    """The rounds, by number. The log keeps up, as a sequencer sees to: the gate opens under no stale one."""
    for number in range(ROUNDS):
        if number % EVERY == EVERY - 1:
            sequence()
        yield number


class Together:
    """So many threads that meet at a barrier, each with a connection of its own."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.threads, self.barrier = ThreadPoolExecutor(number), threading.Barrier(number, timeout=30)

    def at_once(self, *acts: Callable[[], Any]) -> list[Any]:
        """What each came to, in this order: a value or a refusal."""
        return [one.result() for one in [self.threads.submit(self._meet, act) for act in acts]]

    def _meet(self, act: Callable[[], Any]) -> Any:
        self.barrier.wait()
        try:
            return act()
        except Refusal as refusal:
            return refusal

    def close(self) -> None:
        for one in [self.threads.submit(self._leave) for _ in range(self.number)]:
            one.result()
        self.threads.shutdown()

    def _leave(self) -> None:
        self.barrier.wait()
        connection.close()
