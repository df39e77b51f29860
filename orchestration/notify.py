"""Hints to browsers: a topic, a number, a kind. Never content; losing one costs a poll.

Leaves on commit only, through a background thread, so that a request never waits for a dead channel layer.
"""

import asyncio
import os
from functools import partial
from uuid import UUID

from channels.layers import get_channel_layer
from django.db import transaction

from orchestration.mailbox import Mailbox

PUBLISH_TIMEOUT_SECONDS = 2.0  # a channel layer that accepts and never answers is given up
PAUSE_SECONDS = 0.05  # between publishing: nobody reads faster, and a busy run hints often
INBOX = "inbox"


def hint(topic: str, seq: int, kind: str = "changed") -> None:
    """Tell the subscribers of `topic` that it moved on to `seq`, once this transaction has committed.

    `seq` 0 says: something is new, and no number counts it (a log, an inbox).
    """
    transaction.on_commit(partial(_hints.post, (topic, kind), seq), robust=True)


def change_topic(change_id: UUID) -> str:
    return f"change:{change_id}"


def run_topic(run_id: UUID) -> str:
    return f"run:{run_id}"


def group(topic: str) -> str:
    """The channel layer's name of a topic: its alphabet knows no colon."""
    return "hint." + topic.replace(":", ".")


class _Publisher:
    """Owns the event loop on which this process talks to the channel layer."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        os.register_at_fork(after_in_child=self._forget)  # a loop and its connections belong to one process

    def _forget(self) -> None:
        self._loop = None

    def deliver(self, hints: dict[tuple[str, str], int]) -> None:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
        self._loop.run_until_complete(asyncio.wait_for(self._publish(hints), PUBLISH_TIMEOUT_SECONDS))

    async def _publish(self, hints: dict[tuple[str, str], int]) -> None:
        layer = get_channel_layer()
        for (topic, kind), seq in hints.items():
            await layer.group_send(group(topic), {"type": "hint", "topic": topic, "seq": seq, "kind": kind})


_hints: Mailbox[tuple[str, str], int] = Mailbox("hints", _Publisher().deliver, pause_seconds=PAUSE_SECONDS)
