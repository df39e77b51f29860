"""A hand-over to one background thread of this process: the newest value of each key, in order of arrival.

Posting never waits and never raises: what is posted is a hint, and a lost hint costs seconds. It must never
carry work that exists nowhere else.
"""

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

log = logging.getLogger(__name__)

CAPACITY = 10_000  # keys; beyond it the oldest goes, and the reader finds it in the database


class Mailbox(Generic[K, V]):
    """Coalesces by key; `deliver` gets what has gathered, in batches, always from the same thread."""

    def __init__(self, name: str, deliver: Callable[[dict[K, V]], None], *, pause_seconds: float = 0) -> None:
        self._name = name
        self._pause_seconds = pause_seconds  # between batches: what comes close together becomes one
        self._deliver = deliver
        self._changed = threading.Condition()
        self._waiting: dict[K, V] = {}
        self._thread: threading.Thread | None = None
        os.register_at_fork(after_in_child=self._reset)  # threads do not survive a fork

    def post(self, key: K, value: V) -> None:
        with self._changed:
            self._waiting.pop(key, None)
            self._waiting[key] = value
            if len(self._waiting) > CAPACITY:
                self._waiting.pop(next(iter(self._waiting)))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
            self._changed.notify()

    def _reset(self) -> None:
        self._changed = threading.Condition()
        self._waiting = {}
        self._thread = None

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._waiting))
                batch, self._waiting = self._waiting, {}
            try:
                self._deliver(batch)
            except Exception as error:  # noqa: BLE001 - a hint is lost, the thread lives on
                log.warning("%s: %d hints were not published: %s", self._name, len(batch), error)
            time.sleep(self._pause_seconds)
