"""Asks a timestamp authority (RFC 3161) for a token, and checks one against the authority's own certificates.

The library for it is an extra of the installation. No token is kept that does not verify here.
"""

import hashlib
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from cryptography import x509
from django.conf import settings

from audit.refusals import Refusal

SECONDS = 10.0
MOST_BYTES = 64 * 1024
CERTIFICATES = 0xA0  # the tag of that field
QUERY, REPLY = "application/timestamp-query", "application/timestamp-reply"


class NoTimestamp(Refusal):
    """The authority did not answer, or with something that does not verify; or it cannot be asked here."""

    code = "no_timestamp"
    status = 503


class CannotCheck(NoTimestamp):
    """Whether one verifies cannot be told here: the library or the authorities' certificates are missing."""


@dataclass(frozen=True)
class Token:
    """A whole reply of an authority, and when it says that it saw the bytes."""

    reply: bytes
    at: datetime

    @property
    def digest(self) -> str:
        return f"sha256:{hashlib.sha256(self.reply).hexdigest()}"


def authority() -> str:
    """The host that is asked; nothing where none is set. The address itself may hold a password."""
    return urlsplit(settings.TSA_URL).hostname or ""


def ask(data: bytes) -> Token:
    """A token over these bytes; NoTimestamp when there is none that verifies."""
    library = _library()
    request = library.TimestampRequestBuilder(data, library.HashAlgorithm.SHA256).build()
    reply = _post(request.as_bytes())
    return _checked(reply, data, library.VerifierBuilder.from_request(request))


def check(reply: bytes, data: bytes) -> Token:
    """The same of a reply that was kept; NoTimestamp when it does not verify."""
    return _checked(reply, data, _library().VerifierBuilder())


def _library() -> Any:
    try:
        import rfc3161_client
    except ImportError as error:
        raise CannotCheck("The library for timestamps is not installed: countersign[timestamps].") from error
    return rfc3161_client


def _post(query: bytes) -> bytes:
    """What the authority answers, no longer and no slower than an answer is; redirects are not followed."""
    reply, until = b"", time.monotonic() + SECONDS
    try:
        with httpx.stream(
            "POST", settings.TSA_URL, content=query, headers={"Content-Type": QUERY}, timeout=SECONDS
        ) as answer:
            if answer.status_code != 200 or answer.headers.get("Content-Type", "").partition(";")[0] != REPLY:
                raise NoTimestamp(f"{authority()} answers with status {answer.status_code} and no timestamp.")
            for piece in answer.iter_raw():
                reply += piece
                if len(reply) > MOST_BYTES:
                    raise NoTimestamp(f"{authority()} answers with more than a timestamp.")
                if time.monotonic() > until:
                    raise NoTimestamp(f"{authority()} answers too slowly.")
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise NoTimestamp(f"{authority()} does not answer ({type(error).__name__}).") from error
    return reply


def _checked(reply: bytes, data: bytes, builder: Any) -> Token:
    library = _library()
    for one in _certificates():
        builder = builder.add_root_certificate(one)
    try:
        read = library.decode_timestamp_response(_in_order(reply))
        builder.build().verify_message(read, data)
        return Token(reply, read.tst_info.gen_time)
    except (library.VerificationError, ValueError) as error:
        raise NoTimestamp(f"The timestamp does not verify: {error}.") from error


def _in_order(reply: bytes) -> bytes:
    """The same, its certificates in the order that DER demands: many authorities send their chain in its own.

    Nobody signs that order, and it changes no length. What is kept is the reply as it came.
    """
    with suppress(IndexError, ValueError):  # the library says what is wrong with it
        _, start, end = _values(reply, 0, len(reply))[0]
        for inside in (1, 1, 0):  # the token, its content, what is signed
            _, start, end = _values(reply, start, end)[inside]
        for at, first, last in _values(reply, start, end)[3:]:
            if reply[at] == CERTIFICATES:
                ordered = sorted(reply[one:other] for one, _, other in _values(reply, first, last))
                return reply[:first] + b"".join(ordered) + reply[last:]
    return reply


def _values(data: bytes, start: int, end: int) -> list[tuple[int, int, int]]:
    """Of each value between two places of DER: where it begins, where its content does, where both end."""
    found = []
    while start < end:
        at, size, start = start, data[start + 1], start + 2
        if size > 0x80:
            size, start = int.from_bytes(data[start : start + size - 0x80], "big"), start + size - 0x80
        found.append((at, start, start + size))
        start += size
    if start != end:
        raise ValueError("it is not DER")
    return found


def _certificates() -> list[x509.Certificate]:
    """Whom to believe: each certificate once."""
    path = settings.TSA_CA_PATH
    if path is None:
        raise CannotCheck("COUNTERSIGN_TSA_CA_PATH does not say whose timestamps to believe.")
    try:
        return list(dict.fromkeys(x509.load_pem_x509_certificates(Path(path).read_bytes())))
    except (OSError, ValueError) as error:
        raise CannotCheck(f"The certificates of timestamp authorities at {path} cannot be read.") from error
