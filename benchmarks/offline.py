"""A large bundle, verified by the stand-alone verifier with Python alone. Needs no product and no database.

The entries are those of `history.py`, with state and commitments as the product seals them, all hashes right. The
control reads and hashes the same lines, in a process of its own too.
"""

import base64
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import audit.verify
from audit.canonical import canonical
from audit.ledger import pack
from audit.ledger.entry import Actor
from audit.ledger.merkle import leaf_hash
from audit.ledger.note import Signer
from audit.ledger.record import encode
from audit.ledger.tiles import HASH, Edge, path, tiles_of
from benchmarks.history import PEOPLE, Act, Story
from benchmarks.row import Row, times

ENTRIES = int(os.environ.get("BENCH_ENTRIES", "1000000"))
ORIGIN = "bench.example/ledger"
SEALED = ("change.", "run.", "step.")  # kinds whose row has a state
COLUMNS = (
    "id version key state workflow_id service_id environment_id digest approved_at expires_at created_at"
)
CONTROL = "import hashlib, sys; [hashlib.sha256(line).digest() for line in open(sys.argv[1], 'rb')]"
MEASURED = """
import resource, subprocess, sys, time
began = time.perf_counter()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(time.perf_counter() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
"""


def run() -> list[Row]:
    """Build it, then measure the verifier over it."""
    with tempfile.TemporaryDirectory() as folder:
        lines, log = Path(folder) / "entries.jsonl", Path(folder) / "log.zip"
        trust = build(lines, log, ENTRIES)
        trust_file = Path(folder) / "trust.json"
        trust_file.write_bytes(trust)
        control, control_time, _ = _measured("-c", CONTROL, str(lines))
        took, processor, memory = _measured(
            str(audit.verify.__file__), "bundle", str(log), "--trust", str(trust_file)
        )
        size = log.stat().st_size / 2**20
    return [
        Row("entries of the bundle", ENTRIES, "entries"),
        Row("size of the bundle", size, "MiB"),
        Row("all of it verified offline", took, "s"),
        Row("entries verified offline", ENTRIES / took, "per second"),
        Row("processor time of that process", processor, "s"),
        Row("memory of the verifier", memory, "MiB"),
        Row("the same lines read and hashed (control)", control, "s"),
        times("verifying against reading and hashing, in processor time", processor, control_time),
    ]


def build(lines: Path, log: Path, size: int) -> bytes:
    """Write a bundle of so many entries, and its entries alone; the trust.json that it is verified with."""
    signer, edge, began = Signer(ORIGIN, Ed25519PrivateKey.generate()), Edge(), time.perf_counter()
    with lines.open("wb") as file:
        tiles = edge.extend(_written(bodies(size), file))
    trust = json.dumps(
        {"v": 1, "origin": ORIGIN, "keys": [{"key": str(signer.verifier), "from": 0, "until": None}],
         "minimum_size": size, "workers": []}
    ).encode()  # fmt: skip
    note = signer.sign(f"{ORIGIN}\n{size}\n{base64.b64encode(edge.root()).decode()}\n")
    about = {"v": 1, "origin": ORIGIN, "size": size, "first": 0, "end": size, "from": "", "to": ""}
    with lines.open("rb") as file, log.open("wb") as into:
        members: dict[str, Iterable[bytes]] = {
            "README.txt": [b"A bundle to measure with.\n"],
            "bundle.json": [canonical(about)],
            "checkpoints.txt": [note.encode()],
            "countersign-verify.py": [Path(str(audit.verify.__file__)).read_bytes()],
            "entries.jsonl": file,
            "trust.json": [trust],
        }
        hashes = ((f"tile/{path(*one)}", [tiles[one[:2]][: one[2] * HASH]]) for one in tiles_of(size))
        pack.write(into, (*members.items(), *hashes))
    print(f"built in {time.perf_counter() - began:.1f} s", file=sys.stderr, flush=True)
    return trust


def _written(entries: Iterator[bytes], file: IO[bytes]) -> Iterator[bytes]:
    """The leaf of each entry, once its line is written."""
    for body in entries:
        file.write(body + b"\n")
        yield leaf_hash(body)


def bodies(size: int) -> Iterator[bytes]:
    """So many entries, of rows that have a state and of people who typed something."""
    chance = random.Random(1)
    story = Story([Actor(f"account-{place}", "person", "session") for place in range(PEOPLE)], chance)
    before: dict[UUID, bytes] = {}
    for _ in range(size):
        act, key = story.next(), story.id()
        body = _body(act, key, story, before.pop(act.stream, None), digest=f"{chance.getrandbits(256):064x}")
        if act.kind.startswith(SEALED):
            before[act.stream] = leaf_hash(body)
        yield body


def _body(act: Act, key: UUID, story: Story, previous: "bytes | None", *, digest: str) -> bytes:
    state = {"columns": COLUMNS, "sha256": digest} if act.kind.startswith(SEALED) else None
    commits = {"data.comment": digest} if act.kind == "sign_off.given" else None
    return encode(
        key,
        act.kind,
        story.at,
        act.stream,
        act.version,
        previous,
        state,
        act.actor,
        act.subject,
        act.data,
        commits,
    )


def _measured(*command: str) -> tuple[float, float, float]:
    """Seconds, seconds of the processor, and the most MiB of Python running this, with nothing of ours."""
    whole = [sys.executable, "-I", "-c", MEASURED, sys.executable, "-I", *command]
    done = subprocess.run(whole, check=True, capture_output=True, text=True)
    took, processor, memory = map(float, done.stdout.split())
    return took, processor, memory
