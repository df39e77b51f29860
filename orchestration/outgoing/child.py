"""Sends to destinations for one worker process: `python -I child.py`, one request a line in, one answer a line out.

Here alone the secret of a destination is opened, and used: the worker hands on what is sealed and never sees a value.
Knows no Django and no database. It must never say a secret or a header, nor repeat what the other side says.
"""

import base64
import binascii
import hashlib
import hmac
import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # an isolated interpreter: it must find this package, and nothing else
    sys.path.insert(0, str(Path(__file__).parents[2]))

from orchestration.actions import egress, web
from orchestration.actions.base import Context, Failed
from orchestration.engine.supervisor import tree
from orchestration.secrets import opener
from orchestration.secrets.provider import Gone, Unreachable

SECONDS = 30.0  # for one delivery
PREFIX = "whsec_"  # how Standard Webhooks writes a key
KEY_BYTES = (24, 64)
GONE = 410  # the other side takes nothing more, ever
LATER = {408, 429}  # of 4xx: the only ones of OTLP that may go well another time
SAID = 500

Answer = dict[str, Any]  # {"why": "" when it has arrived, "again": whether to go on trying, "after": seconds}


class NoKey(Failed):
    """The secret is not what this destination needs."""


def main() -> None:
    """Until the worker hangs up or dies; nobody of its user looks into the memory of this process."""
    tree.die_with_parent()
    tree.be_private()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the worker, which hangs up
    for line in sys.stdin.buffer:
        sys.stdout.write(json.dumps(deliver(json.loads(line))) + "\n")
        sys.stdout.flush()


def deliver(asked: Mapping[str, Any]) -> Answer:
    """Send one request and say what became of it."""
    try:
        body = base64.b64decode(asked["body"])
        headers = {**asked["headers"], **_credential(asked, body)}
        answer = web.send(_context(), "POST", egress.confidential(asked["url"]), headers=headers, body=body)
    except (Gone, Unreachable) as problem:
        return _not(f"{asked['secret']['path']} could not be opened: {problem}. Nothing was sent.")
    except Failed as problem:
        return _not(str(problem))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told by its name alone: its words may hold a secret
        return _not(f"It could not be sent: {type(error).__name__}.")
    return JUDGES[asked["kind"]](answer)


def _context() -> Context:
    return Context(
        with_={}, idempotency_key="", fence="", cancelled=threading.Event(),
        deadline=time.monotonic() + SECONDS, say=lambda _: None,
    )  # fmt: skip


# --- who we are ---------------------------------------------------------------------------------------------------


def _credential(asked: Mapping[str, Any], body: bytes) -> dict[str, str]:
    """The header that proves that it comes from us."""
    if asked["secret"] is None:
        return {}
    value = _opened(json.dumps(asked["secret"], sort_keys=True)).rstrip("\r\n")
    if asked["kind"] == "webhook":
        headers = asked["headers"]
        return {"webhook-signature": sign(value, headers["webhook-id"], headers["webhook-timestamp"], body)}
    if not value or not all(" " <= one <= "~" for one in value):
        raise NoKey("The secret holds what no header may hold; nothing was sent.")
    return {asked["header"]: value}


@lru_cache(maxsize=64)
def _opened(given: str) -> str:
    return opener.value_of(json.loads(given)).decode()


def sign(secret: str, message_id: str, timestamp: str, body: bytes) -> str:
    """The signature of Standard Webhooks: HMAC-SHA256 over id, time and the body as it is sent."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not secret.startswith(PREFIX) or not KEY_BYTES[0] <= len(key) <= KEY_BYTES[1]:
        raise NoKey(
            f"The secret is no signing key: {PREFIX} and the base64 of 24 to 64 random bytes. Nothing was sent."
        )
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


# --- what they say ------------------------------------------------------------------------------------------------


def _webhook(answer: web.Answer) -> Answer:
    if 200 <= answer.status < 300:
        return _arrived()
    if answer.status == GONE:
        return _not("It answered with status 410: it takes nothing more.", again=False)
    return _status(answer)


def _otlp(answer: web.Answer) -> Answer:
    """A 4xx will be one again, and records that were refused must not be sent again, says OTLP: a person looks."""
    if 200 <= answer.status < 300:
        refused = _refused(answer)
        return _not(f"It refused {refused} of the records.", again=False) if refused else _arrived()
    return _status(answer, again=answer.status >= 500 or answer.status in LATER)


def _refused(answer: web.Answer) -> int:
    """How many records a collector took nothing of; 0 too where the answer is none of OTLP's."""
    from google.protobuf.message import DecodeError
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse

    if "protobuf" not in answer.headers.get("content-type", ""):
        return 0
    try:
        said = ExportLogsServiceResponse.FromString(answer.body)
    except DecodeError:
        return 0
    return int(said.partial_success.rejected_log_records)


def _status(answer: web.Answer, *, again: bool = True) -> Answer:
    after = answer.headers.get("retry-after", "")
    wait = int(after) if after.isascii() and after.isdigit() and len(after) < 7 else 0
    return _not(f"It answered with status {answer.status}.", again=again, after=wait)


def _arrived() -> Answer:
    return {"why": "", "again": False, "after": 0}


def _not(why: str, *, again: bool = True, after: int = 0) -> Answer:
    return {"why": why[:SAID], "again": again, "after": after}


JUDGES: Mapping[str, Callable[[web.Answer], Answer]] = {"webhook": _webhook, "otlp": _otlp}

if __name__ == "__main__":
    main()
