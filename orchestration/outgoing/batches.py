"""What a destination is sent next: the sealed entries that it asked for, in the order of the log. Reads only.

A batch that was begun has a fixed end, so that sending it again sends the same. Names are looked up here, because an
entry has none; nothing else is added to what it says.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from itertools import accumulate
from operator import or_
from typing import Any

from django.db.models import Q

from audit import search
from audit.canonical import NotCanonical, parse
from audit.ledger import checkpoint
from audit.models import ActorName, Leaf
from orchestration.models import Destination

WINDOW = 10_000  # places of the log that are looked at in one go, however few of them are asked for
BYTES = 1 << 20  # of entries in one request; a single one is never larger
TESTED = "destination.tested"  # reaches the destination that it is about, whatever that asked for


@dataclass(frozen=True)
class Event:
    """One entry with its place; `previous` is the place of the event before it, by which the other side sees a gap."""

    index: int
    previous: int | None
    leaf_hash: bytes
    kind: str
    subject: str
    actor: str
    at: datetime
    body: bytes
    actor_name: str = ""

    @property
    def id(self) -> str:
        """The same whenever it is sent, to whomever: its place and its hash."""
        return f"{self.index}-{self.leaf_hash.hex()}"

    @property
    def said(self) -> Any:
        """What the entry says; None when its bytes are no entry, which the other side has to learn as well."""
        try:
            return parse(self.body)
        except NotCanonical:
            return None


@dataclass(frozen=True)
class Batch:
    """What one request carries, and the place behind it."""

    events: tuple[Event, ...]
    until: int

    @property
    def key(self) -> str:
        """Names the request: who has seen it does nothing again."""
        if len(self.events) == 1:
            return self.events[0].id
        together = hashlib.sha256(b"".join(one.leaf_hash for one in self.events)).hexdigest()
        return f"{self.events[0].index}-{self.events[-1].index}-{together}"


def sealed() -> int:
    """How many entries a signed checkpoint covers: no other leaves the house."""
    newest = checkpoint.latest()
    return newest.size if newest else 0


def following(to: Destination, *, size: int) -> Batch:
    """The batch that was begun, or else the next one of a log of this size; it may hold nothing and still move on."""
    end = to.until if to.until is not None else min(size, to.position + WINDOW)
    rows = Leaf.objects.select_related("entry").filter(wanted(to), index__gte=to.position, index__lt=end)
    found = list(rows.order_by("index")[: to.batch + 1])
    leaves = found[: _fitting([len(one.entry.body) for one in found], to.batch)]
    names = _names(leaves) if to.names else {}
    befores = [to.previous, *(one.index for one in leaves)]
    events = tuple(
        _event(leaf, before, names.get(leaf.entry.actor, ""))
        for leaf, before in zip(leaves, befores, strict=False)
    )
    return Batch(events, end if len(leaves) == len(found) else leaves[-1].index + 1)


def wanted(to: Destination) -> Q:
    """The leaves of the kinds that it is for, and of its own tests."""
    own = Q(kind=TESTED, subject=to.subject)
    return reduce(or_, (search.of_kinds(kind) for kind in to.kinds), own)


def _event(leaf: Leaf, previous: int | None, name: str) -> Event:
    entry = leaf.entry
    about = (entry.kind, entry.subject, entry.actor, entry.occurred_at)
    return Event(leaf.index, previous, bytes(leaf.leaf_hash), *about, bytes(entry.body), name)


def _fitting(sizes: list[int], most: int) -> int:
    """How many of them one request takes; one at least."""
    together = accumulate(sizes)
    return sum(1 for count, size in enumerate(together) if count < most and (size <= BYTES or not count))


def _names(leaves: list[Leaf]) -> dict[str, str]:
    actors = {leaf.entry.actor for leaf in leaves}
    return dict(ActorName.objects.filter(actor__in=actors).values_list("actor", "name"))
