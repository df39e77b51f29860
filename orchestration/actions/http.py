"""`http`: one request to a named place. Resolves once, connects to what was resolved, follows no redirect.

Private and local addresses are refused unless the operator lists the host in COUNTERSIGN_HTTP_ALLOWED_HOSTS;
link-local ones, where clouds keep their metadata, are refused always.
"""

import ipaddress
import os
import socket
from typing import Any, ClassVar

import httpx

from orchestration.actions.base import Context, InProcessAction, Result

BODY_BYTES = 64 << 10  # of an answer that are read and shown


class PlaceRefused(Exception):
    """The address is not one that a step may talk to."""


class Http(InProcessAction):
    name = "http"
    summary = "Sends one HTTP request and checks the answer's status."
    schema: ClassVar[dict[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["url"],
        "properties": {
            "url": {"type": "string", "pattern": "^https?://[^/@\\s]+(/\\S*)?$", "maxLength": 2048},
            "method": {"enum": ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]},
            "headers": {
                "type": "object",
                "additionalProperties": {"type": "string", "pattern": "^[^\\r\\n]*$"},
            },
            "body": {"type": "string", "maxLength": 1_000_000},
            "expect": {"type": "integer", "minimum": 100, "maximum": 599},
            "contains": {"type": "string", "maxLength": 1000},
        },
    }

    def run(self, context: Context) -> Result:
        given = context.with_
        url = httpx.URL(given["url"])
        address = resolve(url.host, url.port or (443 if url.scheme == "https" else 80))
        method = given.get("method", "GET")
        context.say(f"{method} {url} at {address}")
        headers = {
            **given.get("headers", {}),
            "Host": url.netloc.decode(),
            "Idempotency-Key": context.idempotency_key,
        }
        request = httpx.Request(
            method,
            url.copy_with(host=address),
            headers=headers,
            content=given.get("body", "").encode() or None,
            extensions={"sni_hostname": url.host},
        )
        return _judge(given, *_send(request, timeout=max(0.1, min(30.0, context.remaining_seconds))), context)


def resolve(host: str, port: int) -> str:
    """The one address to connect to; PlaceRefused when any of the host's addresses is not allowed."""
    found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    addresses = [str(item[4][0]) for item in found]
    allowed = {one.strip() for one in os.environ.get("COUNTERSIGN_HTTP_ALLOWED_HOSTS", "").split(",")}
    for text in addresses:
        _check(host, ipaddress.ip_address(text.partition("%")[0]), listed=host in allowed)
    return addresses[0]


def _check(host: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address, *, listed: bool) -> None:
    plain = getattr(address, "ipv4_mapped", None) or address
    if plain.is_link_local or plain.is_multicast or plain.is_unspecified:
        raise PlaceRefused(f"{host} is {plain}, which no step may talk to; nothing was sent.")
    if not plain.is_global and not listed:
        raise PlaceRefused(
            f"{host} is {plain}, a private address; nothing was sent. An operator can allow the host."
        )


def _send(request: httpx.Request, *, timeout: float) -> tuple[int, bytes]:
    with httpx.Client(timeout=timeout, trust_env=False, follow_redirects=False) as client:
        response = client.send(request, stream=True)
        try:
            body = b""
            for piece in response.iter_bytes():
                body += piece
                if len(body) >= BODY_BYTES:
                    break
            return response.status_code, body[:BODY_BYTES]
        finally:
            response.close()


def _judge(given: Any, status: int, body: bytes, context: Context) -> Result:
    text = body.decode(errors="replace")
    context.say(f"status {status}")
    context.say(text[:4000])
    expected = given.get("expect", 200)
    if status != expected:
        return Result(succeeded=False, reason=f"Status {status}, not {expected}.", outputs={"status": status})
    if given.get("contains", "") not in text:
        return Result(
            succeeded=False,
            reason=f"The answer does not contain {given['contains']!r}.",
            outputs={"status": status},
        )
    return Result(succeeded=True, outputs={"status": status})
