"""What all control tests cost over 100,000 changes. Needs a migrated database of its own.

The entries are those of one change that the product ran, written so many times under other names and times in their
one form, a hundred changes under each checkpoint. One process reads them once and judges everything under the last
checkpoint, in all its memory. The control is a process that only reads them.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from django.db import connection

from audit.controls.evaluate import Scope, known, report
from audit.ledger import checkpoint, export
from audit.ledger.merkle import Range, leaf_hash
from audit.ledger.record import timestamp
from audit.models import Checkpoint, Leaf
from benchmarks.row import Row, times

CHANGES = int(os.environ.get("BENCH_CHANGES", "100000"))
SEALED_TOGETHER = 100  # changes
APART = timedelta(seconds=60)
NAMES = re.compile(
    rb"(?P<id>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})|(?P<digest>sha256:[0-9a-f]{64})"
    rb"|(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z)|(?P<key>(?:CHG|RUN)-)\d+"
    rb'|"checkpoint_size":(?P<size>\d+)'
)
PLACE = re.compile(
    rb'"id":"([^"]*)","prev":.*"stream":"([^"]*)","stream_version":(\d+),"subject":"([^"]*)","time":'
)
ACTOR, KIND = re.compile(rb'"id":"([^"]*)"'), re.compile(rb'"type":"([^"]*)","v":[12]\}\Z')
ENTRIES = "COPY audit_entry (id, stream, stream_version, kind, subject, actor, occurred_at, body, leaf_hash) FROM STDIN"
LEAVES = "COPY audit_leaf (index, entry_id, leaf_hash, kind, subject, actor, occurred_at) FROM STDIN"
ALONE = "import sys, django; django.setup(); from benchmarks import controls; controls.tell(sys.argv[1])"
Piece = Callable[[int], bytes]


def run() -> list[Row]:
    """Write the log, then measure each process over it."""
    size = _write(*_pattern())
    judged, read = _measured("judge"), _measured("read")
    memory = (judged[1] - read[1]) * 100_000 / CHANGES
    return [
        Row(f"entries of {CHANGES:,} changes", size, "entries"),
        Row(f"all control tests over {CHANGES:,} changes", judged[0], "s"),
        Row("of that, reading them and what they tell", judged[2], "s"),
        Row("processor time of that process", judged[3], "s"),
        Row("reading the same entries (control)", read[0], "s"),
        times("control tests against reading", judged[0], read[0]),
        Row("memory of all control tests for 100,000 changes", memory, "MiB"),
    ]


def _pattern() -> tuple[int, list[bytes]]:
    """A change that ran: where its entries begin, and what they are."""
    from orchestration.engine import enrolled
    from tests.audit.log import sequence
    from tests.factories import Bank
    from tests.orchestration.deeds import ended, holding

    bank = Bank()
    enrolled.this_host()  # once, not with each change
    sequence()
    first = Leaf.objects.count()
    for step in bank.approved().runs.get().steps.all():
        sequence()
        ended(holding(step))
    sequence()
    size = Leaf.objects.count()
    return first, list(export.bodies(size, first=first))


def _write(first: int, bodies: list[bytes]) -> int:
    """The log again and again; its size."""
    known = set(NAMES.findall(b"".join(export.bodies(first))))
    names = {name for found in known for name in found if name}
    patterns = [list(_pieces(body, names, len(bodies))) for body in bodies]
    tree, keeper = Range(), checkpoint.keeper()
    tree.extend(map(leaf_hash, export.bodies(first + len(bodies))))
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = off")
    for begin in range(1, CHANGES, SEALED_TOGETHER):
        made = [
            b"".join(piece(number) for piece in one)
            for number in range(begin, min(begin + SEALED_TOGETHER, CHANGES))
            for one in patterns
        ]
        _copy(tree.size, made)
        tree.extend(map(leaf_hash, made))
        keeper.forget()  # a proof of each would only cost time: nobody measures the writing
        head = {"old": 0, "size": tree.size, "root": tree.root().hex(), "proof": [], "first": False}
        note = keeper.answer({"do": "sign", **head})["note"]
        Checkpoint.objects.create(size=tree.size, root=tree.root(), note=note, created_at=datetime.now(UTC))
    with connection.cursor() as cursor:  # a log that grew over months is through with both
        cursor.execute("VACUUM (ANALYZE) audit_entry, audit_leaf, audit_checkpoint")
        cursor.execute("CHECKPOINT")
    return tree.size


def _pieces(body: bytes, known: set[bytes], length: int) -> Iterator[Piece]:
    """The body as what stays and what each change has of its own."""
    at = 0
    for found in NAMES.finditer(body):
        stays, named = body[at : found.start()], found[0]
        yield lambda _, stays=stays: stays  # type: ignore[misc]
        yield _own(found, length) if named not in known else (lambda _, named=named: named)  # type: ignore[misc]
        at = found.end()
    yield lambda _: body[at:]


def _own(found: re.Match[bytes], length: int) -> Piece:
    """What another change calls it; `length` entries later, for each change between."""
    if found["size"]:
        seen = int(found["size"])
        return lambda number: b'"checkpoint_size":%d' % (seen + number * length)
    if found["key"]:
        return lambda number: b"%b%d" % (found["key"], number + 1_000_000)
    if found["time"]:
        begun = datetime.fromisoformat(found[0].decode())
        return lambda number: timestamp(begun + number * APART).encode()
    return lambda number: found[0][:-12] + b"%012x" % (int(found[0][-12:], 16) ^ number << 20)


def _copy(size: int, bodies: list[bytes]) -> None:
    rows = []
    for body in bodies:
        place, actor, kind = PLACE.search(body), ACTOR.search(body), KIND.search(body)
        assert place is not None
        assert actor is not None
        assert kind is not None
        entry, stream, version, subject = (one.decode() for one in place.groups())
        when = datetime.now(UTC)
        rows.append((entry, stream, int(version), kind[1].decode(), subject, actor[1].decode(), when, body))
    with connection.cursor() as cursor:
        with cursor.copy(ENTRIES) as copy:
            for row in rows:
                copy.write_row((*row, leaf_hash(row[-1])))
        with cursor.copy(LEAVES) as copy:
            for index, row in enumerate(rows, size):
                copy.write_row((index, row[0], leaf_hash(row[-1]), *row[3:7]))


def _measured(what: str) -> list[float]:
    """Seconds, MiB and whatever else a process of its own tells."""
    command = [sys.executable, "-c", ALONE, what]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return [float(one) for one in done.stdout.split()]


def tell(what: str) -> None:
    """Measure this process, and print it."""
    signed = checkpoint.latest()
    assert signed is not None
    began, worked, folded = time.monotonic(), time.process_time(), 0.0
    if what == "judge":
        facts = known(signed.size, bytes(signed.root))
        folded = time.monotonic() - began
        tested = report(facts, signed, Scope()).tested
        assert tested[0].population >= CHANGES
        print(*[f"{one.control.id} {one.result} {one.counts}" for one in tested], sep="\n", file=sys.stderr)
    else:
        assert sum(1 for _ in export.numbered(signed.size)) == signed.size
    took, busy = time.monotonic() - began, time.process_time() - worked
    status = Path("/proc/self/status").read_text()
    print(took, int(status.split("VmHWM:")[1].split()[0]) / 1024, folded, busy)
