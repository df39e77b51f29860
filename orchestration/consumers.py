"""The live socket: passes hints on to those who may see their topic. Read-only; carries no content.

A client says once or more which topics it watches, and nothing else. Each topic is authorised when it is asked
for and again every half minute; a session that ended closes its socket.
"""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from typing import Any
from uuid import UUID

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.contrib.auth import get_user
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.models import User
from orchestration import access, notify

TOPIC = re.compile(r"inbox|(change|run):[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
MAX_TOPICS = 32  # a page watches a handful
MAX_MESSAGE_CHARS = 8_192
MAX_SOCKETS = 64  # of one person at one web process: a tab has one
MAX_MESSAGES = 100  # a client says "subscribe" once a connection, and again after a swap
QUEUE = 64  # hints that wait for a slow browser; beyond it, it is told to fetch everything
SEND_SECONDS = 30.0
AUTHORISE_SECONDS = 25.0  # so that nothing is told more than 30 s after it may no longer be seen
POLICY_VIOLATION, TRY_AGAIN_LATER = 1008, 1013


class NotUnderstood(ValueError):
    """The client said something else than which topics it watches."""


_open: Counter[UUID] = Counter()  # sockets of this process by person


class Live(AsyncWebsocketConsumer):  # type: ignore[misc]  # channels has no types
    """One browser's socket."""

    async def connect(self) -> None:
        self._topics: set[str] = set()
        self._messages = 0
        self._waiting: dict[tuple[str, str], int] = {}
        self._news = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._holder: UUID | None = None
        user = await self._user()
        if user is None or _open[user.pk] >= MAX_SOCKETS:
            await self.close()
            return
        self._holder = user.pk
        _open[user.pk] += 1
        await self.accept()
        self._tasks = [asyncio.create_task(self._write()), asyncio.create_task(self._authorise())]

    async def disconnect(self, code: int) -> None:
        if self._holder is not None:
            _open.subtract([self._holder])
            if not _open[self._holder]:
                del _open[self._holder]
            self._holder = None
        for task in self._tasks:
            task.cancel()
        for topic in self._topics:
            await self.channel_layer.group_discard(notify.group(topic), self.channel_name)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        self._messages += 1
        try:
            topics, after = _asked(text_data)
        except NotUnderstood:
            await self.close(POLICY_VIOLATION)
            return
        if self._messages > MAX_MESSAGES or len(self._topics | set(topics)) > MAX_TOPICS:
            await self.close(POLICY_VIOLATION)
            return
        user = await self._user()
        for topic in topics:
            await self._subscribe(user, topic, after.get(topic, 0))

    async def hint(self, message: dict[str, Any]) -> None:
        """From the channel layer."""
        self._offer(message["topic"], message["seq"], message["kind"])

    async def _subscribe(self, user: User | None, topic: str, after: int) -> None:
        """Join first, then look: what happens in between is told twice, never lost."""
        await self.channel_layer.group_add(notify.group(topic), self.channel_name)
        newest = await database_sync_to_async(newest_if_visible)(user, topic)
        if newest is None:
            await self._leave(topic)
            return
        self._topics.add(topic)
        if newest > after:
            self._offer(topic, newest, "events")

    async def _leave(self, topic: str) -> None:
        self._topics.discard(topic)
        await self.channel_layer.group_discard(notify.group(topic), self.channel_name)
        self._offer(topic, 0, "refused")

    def _offer(self, topic: str, seq: int, kind: str) -> None:
        """Newer replaces older; a browser that cannot keep up is told to fetch everything."""
        self._waiting[(topic, kind)] = max(seq, self._waiting.get((topic, kind), 0))
        if len(self._waiting) > QUEUE:
            self._waiting = {("", "resync"): 0}
        self._news.set()

    async def _write(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            waiting, self._waiting = self._waiting, {}
            for (topic, kind), seq in waiting.items():
                text = json.dumps({"topic": topic, "seq": seq, "kind": kind})
                try:
                    await asyncio.wait_for(self.send(text), SEND_SECONDS)
                except TimeoutError:
                    await self.close(TRY_AGAIN_LATER)
                    return

    async def _authorise(self) -> None:
        while True:
            await asyncio.sleep(AUTHORISE_SECONDS)
            user = await self._user()
            if user is None:
                await self.close(POLICY_VIOLATION)
                return
            for topic in list(self._topics):
                if await database_sync_to_async(newest_if_visible)(user, topic) is None:
                    await self._leave(topic)

    async def _user(self) -> User | None:
        user: User | None = await database_sync_to_async(_signed_in)(self.scope["session"].session_key)
        return user


def newest_if_visible(user: User | None, topic: str) -> int | None:
    """The newest number of a topic; None when this person may not see it, or there is no such thing."""
    if user is None or not user.is_active:
        return None
    if topic == notify.INBOX:
        return 0
    kind, _, key = topic.partition(":")
    visible: QuerySet[Any] = access.visible_changes(user) if kind == "change" else access.visible_runs(user)
    newest: int | None = visible.filter(pk=UUID(key)).values_list("event_seq", flat=True).first()
    return newest


def _signed_in(session_key: str | None) -> User | None:
    """Whose session this is at this moment: read anew, so that a session that ended is nobody's."""
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    user = get_user(request)
    return user if isinstance(user, User) and user.is_active else None


def _asked(text: str | None) -> tuple[list[str], dict[str, int]]:
    """The topics of a message, and the numbers that the page has already."""
    if text is None or len(text) > MAX_MESSAGE_CHARS:
        raise NotUnderstood
    try:
        message = json.loads(text)
    except ValueError as error:
        raise NotUnderstood from error
    if not isinstance(message, dict) or "subscribe" not in message or set(message) - {"subscribe", "after"}:
        raise NotUnderstood
    topics, after = message["subscribe"], message.get("after", {})
    if not _all(topics, list, lambda one: isinstance(one, str) and TOPIC.fullmatch(one)):
        raise NotUnderstood
    if not _all(after, dict, lambda one: isinstance(after[one], int) and not isinstance(after[one], bool)):
        raise NotUnderstood
    return topics, after


def _all(values: Any, kind: type[list[Any]] | type[dict[str, Any]], fits: Callable[[Any], object]) -> bool:
    return isinstance(values, kind) and all(fits(one) for one in values)
