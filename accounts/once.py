"""Idempotency keys: the first answer to a creating request, replayed to every repeat of it.

The key's row comes first in the transaction of the work: a second request waits for it, then replays. A refused
request leaves no row. Bound to account and route; must never keep a secret.
"""

import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.conf import settings
from django.db import connection, transaction
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.acting import acting
from accounts.models import IdempotencyKey, User
from audit.refusals import Invalid, Refusal

LIFE = timedelta(hours=24)
MAX_LENGTH = 200
Ready = TypeVar("Ready")


class KeyMissing(Refusal):
    """A creating request names itself, so that a repeat creates nothing new."""

    code = "idempotency_key_missing"
    status = 400


class KeyReused(Refusal):
    """The same key came with another body."""

    code = "idempotency_key_reused"
    status = 422


@dataclass(frozen=True)
class Ask:
    """A creating request: whose, where, under which key, and what it asks."""

    user: User
    route: str
    key: str
    request_hash: str


@dataclass(frozen=True)
class Answer:
    """A status and a JSON body; `replayed` when it was given before."""

    status: int
    body: Any
    replayed: bool = False


def ask_of(request: Request) -> Ask:
    """The request as an Ask; KeyMissing without a usable `Idempotency-Key`."""
    key = request.headers.get("Idempotency-Key", "")
    if not key:
        raise KeyMissing("Nothing was created. Send an Idempotency-Key header, for instance a random UUID.")
    if len(key) > MAX_LENGTH or not key.isprintable() or not key.isascii():
        raise Invalid(
            f"Nothing was created. An Idempotency-Key has at most {MAX_LENGTH} printable characters."
        )
    return Ask(acting(request).user, f"{request.method} {request.path}"[:200], key, _digest(request.data))


def _digest(body: Any) -> str:
    """Keyed, for a body may hold a secret: without the key nobody finds it out by trying."""
    text = json.dumps(body, sort_keys=True).encode()
    return hmac.new(settings.SECRET_KEY.encode(), text, "sha256").hexdigest()


def respond(
    request: Request,
    work: Callable[[Ready], tuple[int, Any]],
    *,
    prepare: Callable[[], Ready],
    at: datetime,
    secret: tuple[str, ...] = (),
) -> Response:
    """The door of every creating POST: `prepare` outside, `work` inside the transaction of the key."""
    given = answer(ask_of(request), work, prepare=prepare, at=at, secret=secret)
    headers = {"Idempotent-Replayed": "true"} if given.replayed else None
    return Response(given.body, status=given.status, headers=headers)


def answer(
    ask: Ask,
    work: Callable[[Ready], tuple[int, Any]],
    *,
    prepare: Callable[[], Ready],
    at: datetime,
    secret: tuple[str, ...] = (),
) -> Answer:
    """The answer of `work(prepare())`, once per key. `secret` fields of the body are shown but never kept."""
    if found := _kept(ask, at):
        return _replay(ask, found)
    ready = prepare()
    with transaction.atomic():
        if not _claim(ask, at):
            return _replay(ask, IdempotencyKey.objects.get(user=ask.user, route=ask.route, key=ask.key))
        status, data = work(ready)
        body = json.loads(JSONRenderer().render(data))
        kept = {name: None if name in secret else value for name, value in body.items()}
        IdempotencyKey.objects.filter(user=ask.user, route=ask.route, key=ask.key).update(
            status=status, response=kept
        )
    return Answer(status, body)


def forget(*, at: datetime) -> int:
    """Drop the keys of yesterday; how many."""
    return IdempotencyKey.objects.filter(created_at__lte=at - LIFE).delete()[0]


def _kept(ask: Ask, at: datetime) -> IdempotencyKey | None:
    rows = IdempotencyKey.objects.filter(user=ask.user, route=ask.route, key=ask.key)
    return rows.filter(created_at__gt=at - LIFE).first()


def _claim(ask: Ask, at: datetime) -> bool:
    """Insert the key's row or take over an expired one; waits for a rival that has not committed yet."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO accounts_idempotencykey AS k (user_id, route, key, request_hash, created_at)
            VALUES (%s, %s, %s, %s, %s)
            ON CONFLICT (user_id, route, key) DO UPDATE
                SET request_hash = excluded.request_hash, created_at = excluded.created_at,
                    status = NULL, response = NULL
                WHERE k.created_at <= %s
            """,
            [ask.user.pk, ask.route, ask.key, ask.request_hash, at, at - LIFE],
        )
        return bool(cursor.rowcount == 1)


def _replay(ask: Ask, found: IdempotencyKey) -> Answer:
    if found.request_hash != ask.request_hash or found.status is None:
        raise KeyReused(
            "Nothing was created: this Idempotency-Key came before with another body. Use a new key."
        )
    return Answer(found.status, found.response, replayed=True)
