"""From one key of the log to the next, by the log's own word: who pinned the first one needs no other trust.json.

A step is an entry `key.added` or `key.retired`, with the proof that it is in the log of the first checkpoint behind it.
It counts where that checkpoint is signed by a key that was in force there, and such a key vouches for the step itself:
an entry alone can be written by whoever writes to the database.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from audit.canonical import canonical, parse
from audit.ledger import checkpoint, merkle
from audit.ledger.integrate import tile
from audit.ledger.note import ADDED, RETIRED, BadNote, Verifier, gave_word, parse_verifier
from audit.ledger.proofs import Proof
from audit.ledger.tiles import nodes
from audit.models import Checkpoint, Entry, Leaf

KINDS = (ADDED, RETIRED)


@dataclass(frozen=True)
class Step:
    """An entry about a key, its place, and the first checkpoint that covers it: both keys signed that one."""

    index: int
    entry: Entry
    under: Checkpoint

    @property
    def name(self) -> str:
        return f"keys/{self.index}.json"

    @property
    def line(self) -> bytes:
        """What others check it by."""
        return canonical({"entry": bytes(self.entry.body).decode(), "proof": self.proof(self.under).text()})

    def proof(self, under: Checkpoint) -> Proof:
        """As it is stored, whether it holds or not: whoever reads it judges."""
        path = merkle.inclusion(self.index, under.size, nodes(cache(tile)))
        return Proof(self.index, merkle.leaf_hash(bytes(self.entry.body)), path, under)


def steps(size: int, *, begin: int = 0) -> Iterator[Step]:
    """Each step among the entries from the one to the other, in the order of the log."""
    found = Leaf.objects.filter(kind__in=KINDS, index__gte=begin, index__lt=size).select_related("entry")
    for leaf in found.order_by("index"):
        under = Checkpoint.objects.filter(size__gt=leaf.index).order_by("size").first()
        if under is not None:
            yield Step(leaf.index, leaf.entry, under)


def files(begin: int, size: int) -> Iterator[tuple[str, bytes]]:
    """Name and content of each: what leaves with the log."""
    for one in steps(size, begin=begin):
        yield one.name, one.line


def followed(keys: Sequence[Verifier], size: int) -> tuple[Verifier, ...]:
    """These keys, and those that they lead to in the log of this size."""
    known = tuple(keys)
    for one in steps(size):
        known = _after(one, known)
    return known


def _after(step: Step, known: tuple[Verifier, ...]) -> tuple[Verifier, ...]:
    """What is known after a step; the same where nobody who is known vouches for it."""
    try:
        signed, proof = checkpoint.read(step.under.note, known), step.proof(step.under)
        kind, of = _said(step)
    except (ValueError, LookupError, TypeError):
        return known
    proved = merkle.includes(proof.leaf, step.index, signed.size, proof.path, signed.root)
    if not proved or of.name != known[0].name or not _vouched(step, kind, of, known, signed.size):
        return known
    if kind == ADDED:
        return known if any(one.key == of.key for one in known) else (*known, of)
    end = step.index + 1  # from there on the newer one signs alone
    return tuple(replace(one, end=min(end, one.end or end)) if one.key == of.key else one for one in known)


def _said(step: Step) -> tuple[str, Verifier]:
    """The kind of a step, and the key that it is about; ValueError, LookupError or TypeError where it names none."""
    said: dict[str, Any] = parse(bytes(step.entry.body))
    begin = said["data"]["from"] if said["type"] == ADDED else 0
    if said["type"] not in KINDS or type(begin) is not int:
        raise BadNote(f"entry {step.index} does not say from when on, or until when, a key signs")
    return said["type"], parse_verifier(said["data"]["key"], begin)


def _vouched(step: Step, kind: str, of: Verifier, known: Sequence[Verifier], size: int) -> bool:
    """Whether another key, in force at this size, signed for it."""
    data = parse(bytes(step.entry.body))["data"]
    others = [one for one in known if one.key != of.key and one.covers(size)]
    return any(gave_word(kind, of, str(data.get("signature")), one) for one in others)


def faults() -> Iterator[str]:
    """A sentence for each step that the signer did not take: whoever wrote that entry does not hold the keys."""
    newest = checkpoint.newest()
    try:
        keys = checkpoint.keys()
    except FileNotFoundError:  # an auditor's host: there the noted key alone leads from step to step
        return
    for one in steps(newest.size if newest else 0):
        try:
            kind, of = _said(one)
        except (ValueError, LookupError, TypeError):
            kind, of = one.entry.kind, None
        known = [key for key in keys if of is not None and key.key == of.key]
        ended = kind == ADDED or any(key.end is not None for key in known)
        if of is None or not known or not (ended or _vouched(one, kind, of, keys, one.under.size)):
            yield f"Entry {one.index} is {one.entry.kind}, and the signer of this log knows nothing of it."
