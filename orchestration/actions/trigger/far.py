"""Speaks HTTP with an orchestrator: reads again where that is harmless, writes once. Knows no orchestrator.

It must never send a request that starts something a second time, unless it knows that the first was not taken.
"""

import json
import random
import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urlencode

from orchestration.actions import egress, web
from orchestration.actions.base import Context, Failed

READS = 8  # tries for one look, over about two minutes
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 60.0
RETRY_AFTER_SECONDS = 300.0  # the longest wish that is granted
BUSY = frozenset({500, 502, 503, 504})
SHOWN_CHARACTERS = 300


class NotThere(Failed):
    """The other side knows nothing of that name."""


class Doubtful(Failed):
    """What starts something was sent, and whether it was taken is not known."""


class Far:
    """One orchestrator at one address."""

    def __init__(self, context: Context, base: str, headers: Mapping[str, str]) -> None:
        self.context, self.base, self.headers = context, base, dict(headers)

    def within(self, context: Context) -> "Far":
        """The same with another clock: what is to be done although the run was stopped."""
        far = Far(context, self.base, {})
        far.headers = self.headers
        return far

    def read(self, path: str, *, query: Mapping[str, Any] | None = None) -> Any:
        """The JSON at a path."""
        return self.get(path, query=query).json()

    def get(self, path: str, *, query: Mapping[str, Any] | None = None) -> web.Answer:
        """The answer at a path, which is JSON; asked again while the other side is busy or gone."""
        last: Failed | None = None
        for turn in range(READS):
            try:
                answer = self._send("GET", path, query)
                if answer.status == 404:
                    raise NotThere(f"{self.base} has nothing at {path}.")
                if answer.status == 200:
                    answer.json()
                    return answer
                last = self._refused(answer)
                if answer.status not in BUSY and not _is_limited(answer):
                    raise last
                self._pause(turn, answer)
            except (egress.NotSent, web.NoAnswer, web.NotUnderstood) as error:
                last = error
                self._pause(turn)
        raise last or Failed("It was not asked.")

    def write(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        form: Mapping[str, str] | None = None,
        accept: Collection[int] = (200, 201, 202, 204),
        query: Mapping[str, Any] | None = None,
    ) -> web.Answer:
        """Send what changes something; again only after an answer that says it was not taken."""
        for turn in range(READS):
            try:
                answer = self._send(method, path, query, body=body, form=form)
            except egress.NotSent:
                if turn == READS - 1:
                    raise
                self._pause(turn)
                continue
            except web.NoAnswer as error:
                raise Doubtful(str(error)) from None
            if answer.status in accept:
                return answer
            if _is_limited(answer) and turn < READS - 1:
                self._pause(turn, answer)
                continue
            if answer.status >= 500:
                raise Doubtful(f"{self._refused(answer)} It may have been taken all the same.")
            raise self._refused(answer)
        raise Failed(f"{self.base} stays too busy; nothing was started.")

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        *,
        body: Any = None,
        form: Mapping[str, str] | None = None,
    ) -> web.Answer:
        place = egress.place(self.base + path + (f"?{urlencode(query)}" if query else ""))
        headers = {"Accept": "application/json", **self.headers}
        data = b""
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            data = urlencode(form).encode()
        elif body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body).encode()
        return web.send(self.context, method, place, headers=headers, body=data)

    def _refused(self, answer: web.Answer) -> Failed:
        words = " ".join(answer.text.split())[:SHOWN_CHARACTERS]
        return Failed(f"{self.base} answers {answer.status}{f': {words}' if words else ''}.")

    def _pause(self, turn: int, answer: web.Answer | None = None) -> None:
        wish = _wish(answer.headers) if answer is not None else None
        most = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**turn)
        own = random.uniform(most / 2, most)  # noqa: S311 - spreads load, no secret
        pause = own if wish is None else min(wish, RETRY_AFTER_SECONDS)
        if turn < READS - 1:
            self.context.pause(pause)


def _is_limited(answer: web.Answer) -> bool:
    """Too many requests: nothing was done. GitHub says it with 403."""
    spent = answer.headers.get("x-ratelimit-remaining") == "0" or "retry-after" in answer.headers
    return answer.status == 429 or (answer.status == 403 and spent)


def _wish(headers: Mapping[str, str]) -> float | None:
    """In how many seconds to come back: `Retry-After` is a number or a date, GitHub tells the second."""
    text, resets = headers.get("retry-after", ""), headers.get("x-ratelimit-reset", "")
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        spent = headers.get("x-ratelimit-remaining") == "0" and resets.isdigit()
        return max(0.0, float(resets) - datetime.now(UTC).timestamp()) if spent else None


def segment(value: Any) -> str:
    """One part of a path, whatever it holds."""
    return quote(str(value), safe="")


def briefly(context: Context, seconds: float) -> Context:
    """A clock of its own for what is done after the run was stopped."""
    return replace(context, cancelled=type(context.cancelled)(), deadline=time.monotonic() + seconds)
