"""A long log, made quickly and really: sealed bytes, streams that chain, leaves, tiles, signed checkpoints.

Written by COPY into an empty log; the examiner and the offline verifier find nothing wrong with it.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection, transaction

from audit.ledger import checkpoint, integrate
from audit.ledger.entry import Actor, system
from audit.ledger.record import encode, leaf_hash
from audit.ledger.sequencer import Sequencer
from audit.ledger.tiles import HASH
from audit.models import ActorName, Checkpoint, Leaf

SINCE = datetime(2023, 1, 2, 6, tzinfo=UTC)
PACE = timedelta(seconds=19, microseconds=417)  # between two entries: five million are three years
AT_ONCE = 50  # changes that are under way together
CHUNK = 20_000  # entries a transaction, and a checkpoint
PEOPLE = 60
REFUSED_EVERY = 97  # entries
FIRST_DAYS = 2_000  # entries of a kind that is never written again
NAMED = "kind, subject, actor, occurred_at"
ENTRY = f"COPY audit_entry (id, stream, stream_version, {NAMED}, body, leaf_hash) FROM STDIN (FORMAT binary)"
LEAF = f"COPY audit_leaf (index, entry_id, leaf_hash, {NAMED}) FROM STDIN (FORMAT binary)"
ENTRY_TYPES = ["uuid", "uuid", "int4", "varchar", "varchar", "varchar", "timestamptz", "bytea", "bytea"]
LEAF_TYPES = ["int8", "uuid", "bytea", "varchar", "varchar", "varchar", "timestamptz"]
ENVIRONMENTS = ("test", "staging", "production", "disaster-recovery")
STEPS = ("build", "migrate", "deploy", "smoke")


class Act(NamedTuple):
    """An entry before it has its time."""

    kind: str
    subject: str
    actor: Actor
    stream: UUID
    data: dict[str, Any]
    version: int = 1


class History:
    """A log that begins empty and grows as far as it is asked to; the same one for the same seed."""

    def __init__(self, *, seed: int = 1) -> None:
        if Leaf.objects.exists():
            raise RuntimeError("there is a log already: nothing was written")
        self.chance = random.Random(seed)
        self.people = [Actor(str(uuid_at(SINCE, self.chance)), "person", "session") for _ in range(PEOPLE)]
        ActorName.objects.bulk_create(
            ActorName(actor=one.id, name=f"Person {place}", handle=f"person{place}")
            for place, one in enumerate(self.people)
        )
        self.leader = Sequencer.start(checkpoint.keeper().answer)
        self.story = Story(self.people, self.chance)
        self.before: dict[UUID, bytes] = {}  # the newest leaf of each stream that may go on

    def grow(self, number: int) -> Checkpoint:
        """Until it has so many entries, and a checkpoint over all of them."""
        with _without_indexes():
            while self.size < number:
                self._chunk(min(CHUNK, number - self.size))
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE audit_entry, audit_leaf")
        return Checkpoint.objects.get(size=number)

    @property
    def size(self) -> int:
        """How many entries there are."""
        return self.leader.edge.size

    def _chunk(self, number: int) -> None:
        """So many entries, placed and signed."""
        edge, first, root = self.leader.edge, self.size, self.leader.edge.root()
        entries, leaves = self._entries(first, number)
        tiles = edge.extend(leaf[2] for leaf in leaves)
        levels, places = zip(*tiles, strict=True)
        data = list(tiles.values())
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL synchronous_commit = off")
            for copy, types, rows in ((ENTRY, ENTRY_TYPES, entries), (LEAF, LEAF_TYPES, leaves)):
                with cursor.copy(copy) as into:
                    into.set_types(types)
                    for row in rows:
                        into.write_row(row)
            widths = [len(one) // HASH for one in data]
            cursor.execute(integrate.TILES, [list(levels), list(places), widths, data])
            cursor.execute(integrate.SWAP, [edge.size, edge.root(), self.story.at, first, root])
        self.leader.sign(now=float(edge.size))  # each is long after the one before

    def _entries(self, first: int, size: int) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
        """Rows of both tables."""
        entries, leaves = [], []
        for index in range(first, first + size):
            act, at, key = self.story.next(), self.story.at, self.story.id()
            previous = self.before.get(act.stream)
            body = encode(
                key, act.kind, at, act.stream, act.version, previous, None, act.actor, act.subject, act.data
            )
            self.before[act.stream] = leaf = leaf_hash(body)
            named = (act.kind, act.subject, act.actor.id, at)
            entries.append((key, act.stream, act.version, *named, body, leaf))
            leaves.append((index, key, leaf, *named))
        for old in list(self.before)[: -4 * CHUNK]:  # streams that ended long ago
            del self.before[old]
        return entries, leaves


@contextmanager
def _without_indexes() -> Iterator[None]:
    """What leaves are looked for by is sorted once at the end."""
    with connection.schema_editor() as editor:
        for index in Leaf._meta.indexes:
            editor.remove_index(Leaf, index)
    try:
        yield
    finally:
        with connection.schema_editor() as editor:
            for index in Leaf._meta.indexes:
                editor.add_index(Leaf, index)


class Story:
    """Without end: at first the setting up, then changes that are under way together, now and then a refusal."""

    def __init__(self, people: list[Actor], chance: random.Random) -> None:
        self.people, self.chance, self.at = people, chance, SINCE
        self.acts = self._acts()

    def next(self) -> Act:
        self.at += PACE
        return next(self.acts)

    def id(self) -> UUID:
        """A UUIDv7 of this moment."""
        return uuid_at(self.at, self.chance)

    def _acts(self) -> Iterator[Act]:
        for place in range(FIRST_DAYS):
            person = self.people[place % PEOPLE]
            yield Act("team.joined", f"team:{place % 40}", self.people[0], self.id(), {"person": person.id})
        number = 0
        under_way: list[Iterator[Act]] = []
        while True:
            while len(under_way) < AT_ONCE:
                number += 1
                under_way.append(self._change(number))
            place = self.chance.randrange(AT_ONCE)
            if self.chance.randrange(REFUSED_EVERY) == 0:
                told = {"attempted": "decide", "code": "not_allowed", "detail": "You requested this change."}
                yield Act(
                    "attempt.refused", f"CHG-{number}", self.chance.choice(self.people), self.id(), told
                )
            act = next(under_way[place], None)
            if act is None:
                del under_way[place]
            else:
                yield act

    def _change(self, number: int) -> Iterator[Act]:
        """The entries that a change leaves, with its run and its four steps."""
        change, run, worker = f"CHG-{number}", f"RUN-{number}", system(f"worker:{number % 8}")
        mara, lena, noor = self.chance.sample(self.people, 3)
        digest, where = f"sha256:{self.chance.getrandbits(256):064x}", self.chance.choice(ENVIRONMENTS)
        ours, theirs = self.id(), self.id()
        moved = {"change": change, "digest": digest}
        asked = {**moved, "revision": 1, "environment": where, "service": f"service-{number % 30}", "incident": None,
                 "workflow": f"workflow-{number % 12}", "requester_person": mara.id}  # fmt: skip
        yield Act("change.drafted", change, mara, ours, {"change": change}, 1)
        yield Act("change.requested", change, mara, ours, asked, 2)
        yield Act("change.waiting", change, mara, ours, {**moved, "was": "draft"}, 3)
        for who in (lena, noor):
            signed = {**moved, "stage_name": "Security", "decision": "approve", "environment": where}
            yield Act("sign_off.given", digest, who, self.id(), signed)
        yield Act("change.approved", change, noor, ours, {**moved, "was": "waiting"}, 4)
        yield Act("change.running", change, worker, ours, {**moved, "was": "approved", "run": run}, 5)
        yield Act("run.running", run, worker, theirs, {"run": run, "change": change, "was": "queued"}, 1)
        for step in STEPS:
            stream = self.id()
            for version, state in enumerate(("started", "succeeded"), start=1):
                told = {
                    "run": run,
                    "step": step,
                    "attempt": 1,
                    "was": "ready",
                    "exit_code": 0,
                    "output": digest,
                }
                yield Act(f"step.{state}", run, worker, stream, told, version)
        yield Act("run.succeeded", run, worker, theirs, {"run": run, "change": change, "was": "running"}, 2)
        yield Act("change.succeeded", change, worker, ours, {**moved, "was": "running", "run": run}, 6)


def uuid_at(at: datetime, chance: random.Random) -> UUID:
    """A UUIDv7 of that moment."""
    stamp = int(at.timestamp() * 1000)
    value = (
        (stamp << 80) | (0x7 << 76) | (chance.getrandbits(12) << 64) | (0b10 << 62) | chance.getrandbits(62)
    )
    return UUID(int=value)
