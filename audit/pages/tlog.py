"""The log as monitors and witnesses read it (C2SP tlog-tiles): checkpoint and tiles, open to everybody.

Hashes of entries, and of the entries those alone that tell of its keys: whoever follows the log learns that it grows,
that it only grows, and which key signs it.
"""

import re

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from audit.ledger import checkpoint, succession
from audit.ledger.integrate import tile as stored
from audit.ledger.tiles import HASH, WIDTH, path
from audit.models import Checkpoint
from audit.refusals import NotFound

FOREVER = "public, max-age=31536000, immutable"  # a tile of one width never changes
ADDRESS = re.compile(r"((?:x\d{3}/)*\d{3})(?:\.p/([1-9]\d{0,2}))?", re.ASCII)
MAX_LEVEL = 7  # a log of 2**63 entries needs no more
MAX_GROUPS = 6
TEXT = "text/plain; charset=utf-8"


@require_safe
def newest(request: HttpRequest) -> HttpResponse:
    """GET /audit/log/checkpoint: the newest signed note."""
    signed = checkpoint.latest()
    if signed is None:
        raise NotFound("No checkpoint is signed yet.")
    return HttpResponse(signed.cosigned, content_type=TEXT, headers={"Cache-Control": "no-cache"})


@require_safe
def key(request: HttpRequest) -> HttpResponse:
    """GET /audit/log/key: the verifier key, to be noted once and compared for ever; two while one follows the other."""
    if not Checkpoint.objects.exists():
        raise NotFound("No checkpoint is signed yet.")
    keys = checkpoint.keys()
    in_force = [str(one) for one in keys if one.end is None]
    return HttpResponse("\n".join([*in_force, ""]), content_type=TEXT, headers={"Cache-Control": "no-cache"})


@require_safe
def steps(request: HttpRequest) -> HttpResponse:
    """GET /audit/log/keys: how each key followed from the one before, a step a line; of the entries these alone."""
    signed = checkpoint.latest()
    lines = b"".join(one.line + b"\n" for one in succession.steps(signed.size if signed else 0))
    return HttpResponse(lines, content_type="application/jsonl", headers={"Cache-Control": "no-cache"})


@require_safe
def tile(request: HttpRequest, level: int, place: str) -> HttpResponse:
    """GET /audit/log/tile/<level>/<index>[.p/<width>]: up to 256 hashes."""
    index, width = address(place)
    if level > MAX_LEVEL or path(level, index, width) != f"{level}/{place}":
        raise NotFound("There is no such tile.")
    try:
        data = stored(level, index)[: width * HASH]
    except LookupError as missing:
        raise NotFound("There is no such tile.") from missing
    if len(data) < width * HASH:
        raise NotFound("This tile is not that full yet.")
    return HttpResponse(data, content_type="application/octet-stream", headers={"Cache-Control": FOREVER})


def address(place: str) -> tuple[int, int]:
    """Index and width of a tile from the end of its address; NotFound for what is none."""
    found = ADDRESS.fullmatch(place)
    groups = found[1].split("/") if found else []
    width = int(found[2] or WIDTH) if found else 0
    if not groups or len(groups) > MAX_GROUPS or width > WIDTH:
        raise NotFound("There is no such tile.")
    return int("".join(group.removeprefix("x") for group in groups)), width
