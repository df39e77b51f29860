"""One HTTP request through the door out. No proxy, no redirect, no cookie, no cache, no second try.

TLS checks the certificate against the name, although the socket goes to an address that was judged. It must never
say a header: a secret may stand in it.
"""

import base64
import json
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpcore

from orchestration.actions import egress
from orchestration.actions.base import Cancelled, Context, Failed

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 30.0  # for one answer, from the first byte sent to the last byte read
LOOK_SECONDS = 0.25  # how long a read goes on before it is asked whether the run was stopped
BODY_BYTES = 1 << 20  # of an answer that are read
AGENT = "Countersign"


class NoAnswer(Failed):
    """It was sent, or a part of it, and no whole answer came: what the other side did is not known."""


class NotUnderstood(Failed):
    """An answer that is not what its protocol says."""


@dataclass(frozen=True)
class Answer:
    """What came back; `whole` is false where it was longer than is read."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    whole: bool

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")

    def json(self) -> Any:
        """The body as JSON; NotUnderstood when it is none."""
        if not self.whole:
            raise NotUnderstood(
                f"The answer is longer than {BODY_BYTES} bytes, of which no JSON can be read."
            )
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise NotUnderstood("The answer is no JSON.") from None


def send(
    context: Context,
    method: str,
    place: egress.Place,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | Iterator[bytes] = b"",
    seconds: float = ANSWER_SECONDS,
    most: int = BODY_BYTES,
) -> Answer:
    """Send one request and read the answer; Cancelled as soon as the run is stopped."""
    trust = _trust() if place.scheme == "https" else None
    dialled = _Dialled(context, time.monotonic() + min(seconds, context.remaining_seconds))
    url = httpcore.URL(
        scheme=place.scheme, host=place.host, port=place.port, target=place.target.encode("ascii")
    )
    sent = _headers(place, headers or {}, str(len(body)) if isinstance(body, bytes) else None)
    try:
        with (
            httpcore.ConnectionPool(ssl_context=trust, network_backend=dialled) as pool,
            pool.stream(method, url, headers=sent, content=body or None) as answer,
        ):
            return _read(answer, most)
    except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
        raise egress.NotSent(f"{place.authority} could not be reached ({error}); nothing was sent.") from None
    except httpcore.LocalProtocolError:  # its words would hold the header
        raise egress.NotSent(f"A header for {place.authority} is not one; nothing was sent.") from None
    except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError) as error:
        words = str(error) or type(error).__name__
        raise NoAnswer(
            f"{place.authority} gave no whole answer ({words}); it may have done what was asked."
        ) from None


def _headers(
    place: egress.Place, given: Mapping[str, str], length: str | None
) -> list[tuple[bytes | str, bytes | str]]:
    named = {name.lower() for name in given}
    ours = {"Host": place.authority, "User-Agent": AGENT, "Accept-Encoding": "identity"}
    if length is not None:
        ours["Content-Length"] = length
    return [*(one for one in ours.items() if one[0].lower() not in named), *given.items()]


def secret(name: str, context: Context) -> str:
    """A secret of the step without the line's end that editors put behind it."""
    try:
        return context.secret(name).rstrip("\r\n")
    except LookupError as error:
        raise Failed(f"{error.args[0]} Nothing was sent; list it under `secrets`.") from None


def fit(name: str, context: Context) -> str:
    """A secret that may stand in a header; what is wrong with it is told without it."""
    text = secret(name, context)
    if not text or not all("\x20" <= one <= "\x7e" for one in text):
        raise Failed(f"The secret {name} is empty or holds what no header may hold; nothing was sent.")
    return text


def bearer(name: str, context: Context) -> dict[str, str]:
    """The header for a token that is the secret `name`."""
    return {"Authorization": f"Bearer {fit(name, context)}"}


def basic(user: str, name: str, context: Context) -> dict[str, str]:
    """The header for a user whose password is the secret `name`."""
    pair = f"{user}:{secret(name, context)}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def _trust() -> ssl.SSLContext:
    """The certificates that the machine trusts."""
    return ssl.create_default_context()


def _read(answer: httpcore.Response, most: int) -> Answer:
    body, whole = bytearray(), True
    for piece in answer.iter_stream():
        body += piece
        if len(body) > most:
            whole = False
            break
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in answer.headers}
    return Answer(answer.status, headers, bytes(body[:most]), whole)


class _Dialled(httpcore.NetworkBackend):
    """Connects through the guard and nowhere else."""

    def __init__(self, context: Context, ends: float) -> None:
        self.context, self.ends = context, ends

    def connect_tcp(self, host: str, port: int, *_: Any, **__: Any) -> httpcore.NetworkStream:
        held = egress.dial(host, port, timeout=max(0.1, min(CONNECT_SECONDS, self.left)))
        held.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return _Stream(held, self)

    @property
    def left(self) -> float:
        return self.ends - time.monotonic()

    def look(self) -> None:
        """Whether to go on: a byte now and then must not keep a request alive for ever."""
        if self.context.cancelled.is_set():
            raise Cancelled
        if self.left <= 0:
            raise httpcore.ReadTimeout("it took too long")


class _Stream(httpcore.NetworkStream):
    """A socket that is asked every quarter of a second whether it is still wanted."""

    def __init__(self, held: socket.socket, dialled: _Dialled) -> None:
        self._held, self._dialled = held, dialled
        held.settimeout(LOOK_SECONDS)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        while True:
            self._dialled.look()
            try:
                return self._held.recv(max_bytes)
            except TimeoutError:
                continue
            except OSError as error:
                raise httpcore.ReadError(str(error)) from error

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        left = memoryview(buffer)
        while left:
            self._dialled.look()
            try:
                left = left[self._held.send(left) :]
            except TimeoutError:
                continue
            except OSError as error:
                raise httpcore.WriteError(str(error)) from error

    def close(self) -> None:
        self._held.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        self._held.settimeout(max(0.1, min(CONNECT_SECONDS, self._dialled.left)))
        try:
            held = ssl_context.wrap_socket(self._held, server_hostname=server_hostname)
        except OSError as error:
            self.close()
            raise httpcore.ConnectError(str(error)) from error
        return _Stream(held, self._dialled)

    def get_extra_info(self, info: str) -> Any:
        return self._held if info == "socket" else None
