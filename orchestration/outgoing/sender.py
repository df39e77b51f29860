"""What a worker process does for destinations, in a thread: claim what is due, have its child send it, write it down.

A destination is served where governed acts are performed: by workers that may act in the control room. It must never
see a secret: its child opens it.
"""

import base64
import json
import logging
import os
import random
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.db import Error, close_old_connections, connection

from audit.refusals import Refusal
from orchestration.actions import egress
from orchestration.engine import enrolled, supervise
from orchestration.engine.failpoints import failpoint
from orchestration.engine.nodes import Node
from orchestration.models import CONTROL_ROOM, Destination
from orchestration.outgoing import cloudevents, deliveries
from orchestration.outgoing.deliveries import Delivery

CHILD = Path(__file__).with_name("child.py")
TURN = 100  # deliveries, until it is asked again whether this worker may
ANSWER_SECONDS = 40.0  # the child gives up long before
LOST: Mapping[str, Any] = {"why": "Its sender vanished; it may have arrived.", "again": True, "after": 0}

log = logging.getLogger(__name__)


class Child:
    """The process that opens secrets and sends; started when there is something to send."""

    def __init__(self, marker: str = "") -> None:
        self._marker = marker  # by which the next worker finds it, should this one die
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None

    def ask(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Its answer; LOST, and another process next time, where there is none."""
        try:
            channel = self._open()
            channel.sendall(json.dumps(request).encode() + b"\n")
            answer: Mapping[str, Any] = json.loads(_line(channel))
        except (OSError, ValueError):
            self.close()
            return LOST
        return answer

    def close(self) -> None:
        """Hang up, and bury it."""
        if self._channel is not None:
            self._channel.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._channel = self._process = None

    def _open(self) -> socket.socket:
        if self._channel is None:
            self._channel, theirs = socket.socketpair()
            self._channel.settimeout(ANSWER_SECONDS)
            inherited = {name: os.environ[name] for name in egress.INHERITS if name in os.environ}
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, "-I", str(CHILD)],
                    stdin=theirs.fileno(),
                    stdout=theirs.fileno(),
                    env={
                        **inherited,
                        "PATH": supervise.STEP_PATH,
                        "LANG": "C.UTF-8",
                        "COUNTERSIGN_BOOT": self._marker,
                    },
                )
        return self._channel


def _line(channel: socket.socket) -> bytes:
    found = b""
    while not found.endswith(b"\n"):
        piece = channel.recv(65536)
        if not piece:
            raise ConnectionError
        found += piece
    return found


def start(node: Node) -> None:
    """Begin to serve destinations, in a thread that lives as long as the process."""
    threading.Thread(target=_live, args=(node,), name="sender", daemon=True).start()


def _live(node: Node) -> None:
    child, pause = Child(supervise.boot_marker(node.boot_id)), settings.POLL_SECONDS
    while not node.wait(pause):
        pause = settings.POLL_SECONDS * random.uniform(0.7, 1.3)  # noqa: S311 - spreads the load
        try:
            close_old_connections()
            count = turn(node, child)
        except (Error, psycopg.Error) as error:  # the database is away: the next round finds it back
            log.warning("nothing was sent: %s", error)
            connection.close()
        except Exception:  # a fault of ours must not end the thread; the lease of whom it concerns will
            log.exception("nothing was sent")
        else:
            pause = 0.0 if count == TURN else pause
            if not count:
                child.close()
    child.close()
    connection.close()


def turn(node: Node, child: Child) -> int:
    """Serve whoever is due until nobody is, or for a while; how many deliveries that were."""
    count = 0
    if not enrolled.may_serve(node.boot_id, CONTROL_ROOM):
        return count
    while node.may_claim and count < TURN and (delivery := deliveries.claim()) is not None:
        deliver(delivery, child)
        count += 1
    return count


def deliver(delivery: Delivery, child: Child) -> bool:
    """Send one batch; whether it arrived."""
    try:
        request = {**message(delivery), "secret": deliveries.lend(delivery)}
    except Refusal as refusal:
        answer: Mapping[str, Any] = _unsent(str(refusal))
    except (Error, psycopg.Error):
        raise
    except Exception as error:  # a fault of ours: it has to be seen where people look
        log.exception("no message for %s", delivery.to)
        answer = _unsent(f"It could not be written as a message: {type(error).__name__}.")
    else:
        answer = child.ask(request)
        failpoint("outgoing.sent")
    return deliveries.settle(delivery, answer)


def _unsent(why: str) -> dict[str, Any]:
    return {"why": f"{why} Nothing was sent."[:500], "again": True, "after": 0}


def message(delivery: Delivery) -> dict[str, Any]:
    """What the child posts. The same entries make the same message, but for the time at which it is sent."""
    to, batch = delivery.to, delivery.batch
    source = settings.LEDGER_ORIGIN
    headers = {"Idempotency-Key": batch.key}
    if to.kind == Destination.Kind.WEBHOOK:
        several = to.batch > 1
        body = cloudevents.body(batch, source=source, several=several)
        headers |= {
            "Content-Type": cloudevents.MANY if several else cloudevents.ONE,
            "webhook-id": batch.key,
            "webhook-timestamp": str(int(delivery.at.timestamp())),
        }
    else:
        from orchestration.outgoing import otlp  # 4 MB, in each process of a worker, for few

        body = otlp.body(batch, source=source, release=settings.RELEASE, at=delivery.at)
        headers |= {"Content-Type": otlp.CONTENT}
    told = {"kind": str(to.kind), "url": to.url, "header": to.header, "headers": headers}
    return {**told, "body": base64.b64encode(body).decode()}
