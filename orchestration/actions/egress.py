"""The one door out of a step: which places it may talk to, and a socket to the very address that was judged.

A name is resolved once and every address of it is judged; the socket goes to one of these and to no other. Private
places need the operator's word (COUNTERSIGN_HTTP_ALLOWED_HOSTS); where clouds keep metadata nobody's word helps.
"""

import ipaddress
import os
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass

from orchestration.actions.base import Failed

ALLOWED = "COUNTERSIGN_HTTP_ALLOWED_HOSTS"
# What the process of an action that goes out has to see of the worker's environment: settings, never credentials.
INHERITS = (ALLOWED, "SSL_CERT_FILE", "SSL_CERT_DIR")

HOST = r"(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9][A-Za-z0-9._-]{0,252})"
_TARGET = r"[/?][!\"$-\[\]-~]*"  # printable ASCII; no space, no backslash, no fragment
_ORIGIN = rf"https?://{HOST}(?::[0-9]{{1,5}})?"
URL = rf"{_ORIGIN}(?:{_TARGET})?"
BASE = rf"{_ORIGIN}(?:/(?!\.\.?(?:/|$))[A-Za-z0-9._~-]+)*/?"  # below which paths are put
_URL = re.compile(rf"(https?)://({HOST})(?::([0-9]{{1,5}}))?({_TARGET})?")
_NUMBER = re.compile(
    r"[0-9]+|0[xX][0-9A-Fa-f]*"
)  # a host that ends so is an address to the system's resolver

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_GLOBAL_V6 = ipaddress.ip_network("2000::/3")
# Never, whoever allows it: link-local, and what hands out credentials to whoever can reach it.
_NEVER = tuple(
    ipaddress.ip_network(text)
    for text in (
        "169.254.0.0/16",
        "fe80::/10",
        "fd00:ec2::/32",  # AWS over IPv6
        "fd20:ce::/32",  # Google Cloud over IPv6
        "100.100.100.200/32",  # Alibaba Cloud
        "192.0.0.192/32",  # Oracle Cloud
        "168.63.129.16/32",  # Azure
    )
)
# IPv6 that carries an IPv4 address: where it stands, counted in bits from the right, and whether it is inverted.
_CARRIERS = tuple(
    (ipaddress.ip_network(network), shift, inverted)
    for network, shift, inverted in (
        ("::/96", 0, False),  # IPv4-compatible
        ("::ffff:0:0/96", 0, False),  # IPv4-mapped
        ("::ffff:0:0:0/96", 0, False),  # IPv4-translated
        ("64:ff9b::/96", 0, False),  # NAT64
        ("64:ff9b:1::/48", 0, False),  # NAT64 of one's own
        ("2002::/16", 80, False),  # 6to4
        ("2001::/32", 0, True),  # Teredo
    )
)


class PlaceRefused(Failed):
    """The address is not one that a step may talk to."""


class NotSent(Failed):
    """The place could not be reached; nothing was sent."""


@dataclass(frozen=True)
class Place:
    """One address on the web, in parts that nobody parses again."""

    scheme: str
    host: str  # without brackets
    port: int
    target: str

    @property
    def origin(self) -> tuple[str, str, int]:
        return self.scheme, self.host.lower(), self.port

    @property
    def authority(self) -> str:
        """What a `Host` header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"


_DEFAULT_PORTS = {"http": 80, "https": 443}


def place(url: str) -> Place:
    """The place that a URL names; PlaceRefused for all that is not plainly http or https to a plain host."""
    found = _URL.fullmatch(url)
    if found is None:
        raise PlaceRefused(f"{url[:200]!a} is no plain http or https address; nothing was sent.")
    scheme, host, port, target = found.groups()
    number = int(port) if port else _DEFAULT_PORTS[scheme]
    if not 0 < number < 65536:
        raise PlaceRefused(f"{number} is no port; nothing was sent.")
    target = target or "/"
    return Place(scheme, host.strip("[]"), number, target if target[0] == "/" else f"/{target}")


def confidential(url: str) -> Place:
    """The same, where nobody on the way can read what is sent: by https, or to a host that the operator allows."""
    found = place(url)
    if found.scheme == "http" and not _is_listed(found.host):
        raise PlaceRefused(f"{found.authority} would be sent to in the clear; nothing was sent. Use https.")
    return found


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host, in the system's order; PlaceRefused when any of them is not allowed."""
    host = host.strip("[]")
    _check_spelling(host)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NotSent(f"{host} has no address ({error}); nothing was sent.") from None
    addresses = list(dict.fromkeys(str(one[4][0]) for one in found))
    for text in addresses:
        _judge(host, ipaddress.ip_address(text.partition("%")[0]), listed=_is_listed(host))
    return addresses


def dial(host: str, port: int, *, timeout: float) -> socket.socket:
    """A socket to the host at an address that was judged just now: what a name says later moves it nowhere."""
    error: OSError | None = None
    for address in resolve(host, port):
        held = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        held.settimeout(timeout)
        try:
            held.connect((address, port))  # a number: no name is looked up again
            return held
        except OSError as refused:
            held.close()
            error = refused
    raise NotSent(f"{host} could not be reached at port {port} ({error}); nothing was sent.")


def _check_spelling(host: str) -> None:
    """Decimal, octal, hexadecimal and shortened spellings of an address are a disguise."""
    if ":" not in host and _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]):
        try:
            ipaddress.IPv4Address(host)
        except ValueError:
            raise PlaceRefused(f"{host} is a disguised address; nothing was sent.") from None


def _is_listed(host: str) -> bool:
    """By its name, or by a suffix that begins with a dot."""
    name = host.lower().rstrip(".")
    listed = [one.strip().lower() for one in os.environ.get(ALLOWED, "").split(",")]
    return any(name == one or (one.startswith(".") and name.endswith(one)) for one in listed if one)


def _judge(host: str, address: Address, *, listed: bool) -> None:
    carried = list(_carried(address))
    if any(_is_never(one) for one in (address, *carried)):
        raise PlaceRefused(f"{host} is {address}, which no step may talk to; nothing was sent.")
    if not listed and (carried or not _is_public(address)):
        raise PlaceRefused(
            f"{host} is {address}, a private address; nothing was sent. An operator can allow the host."
        )


def _carried(address: Address) -> Iterator[ipaddress.IPv4Address]:
    for network, shift, inverted in _CARRIERS:
        if address in network:
            bits = (int(address) >> shift) & 0xFFFFFFFF
            yield ipaddress.IPv4Address(bits ^ 0xFFFFFFFF if inverted else bits)


def _is_never(address: Address) -> bool:
    return (
        address.is_multicast
        or address.is_unspecified
        or address == ipaddress.IPv4Address("255.255.255.255")
        or any(address in network for network in _NEVER)
    )


def _is_public(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address) and address not in _GLOBAL_V6:
        return False
    return address.is_global and not address.is_reserved
