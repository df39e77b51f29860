"""A log without a database: entries, tree, checkpoints, bundle and proofs, made with the server's pure parts.

And the offline verifier in this process: what it answered, and what it said.
"""

import base64
import hashlib
import io
import json
import os
import zipfile
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import audit.verify
from audit.canonical import canonical
from audit.ledger import merkle, note, pack, tiles
from audit.reports import bundle, manifest, population, sheet

ORIGIN = "test.example/ledger"
EVERY_BYTE = os.environ.get("FLIPS") == "all"  # minutes; without it a sample of each class


def entry(number, kind="test.happened", *, stream=None, version=1, prev=None, actor=None, **data):
    """The sealed bytes of an entry, as record() writes them."""
    said = {
        "v": 1, "id": f"id-{number}", "type": kind, "time": "2026-11-23T09:00:00.000000Z",
        "stream": stream or f"stream-{number}", "stream_version": version, "prev": prev, "state": None,
        "actor": actor or {"id": "account-1", "kind": "person", "auth": "session"}, "subject": f"T-{number}",
        "data": data,
    }  # fmt: skip
    return canonical(said)


@dataclass
class Log:
    """A log of these entries, signed at these sizes and at its end."""

    bodies: list[bytes]
    signed_at: tuple[int, ...] = ()
    seed: int = 1
    first: int = 0
    end: int | None = None
    workers: tuple[str, ...] = ()
    stamps: dict[int, bytes] = field(default_factory=dict)  # answers of a timestamp authority, by size
    changed: dict[str, bytes] = field(default_factory=dict)  # members to put in the place of the right ones

    @cached_property
    def signer(self):
        return note.Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes([self.seed]) * 32))

    @property
    def key(self):
        return str(self.signer.verifier)

    @cached_property
    def leaves(self):
        return [merkle.leaf_hash(body) for body in self.bodies]

    def root(self, size):
        edge = tiles.Edge()
        edge.extend(self.leaves[:size])
        return edge.root()

    def node(self, level, index):
        edge = tiles.Edge()
        edge.extend(self.leaves[index << level : (index + 1) << level])
        return edge.root()

    def checkpoint(self, size=None):
        size = len(self.bodies) if size is None else size
        return self.signer.sign(f"{ORIGIN}\n{size}\n{base64.b64encode(self.root(size)).decode()}\n")

    def proof(self, index, size=None):
        size = size or len(self.bodies)
        path = merkle.inclusion(index, size, self.node)
        hashes = "".join(base64.b64encode(one).decode() + "\n" for one in path)
        return f"c2sp.org/tlog-proof@v1\nindex {index}\n{hashes}\n{self.checkpoint(size)}"

    def growth(self, old, new):
        return "".join(
            base64.b64encode(one).decode() + "\n" for one in merkle.consistency(old, new, self.node)
        )

    def trust(self, **changed):
        told = {
            "v": 1, "origin": ORIGIN, "keys": [{"key": self.key, "from": 0, "until": None}], "minimum_size": 0,
            "workers": list(self.workers),
        }  # fmt: skip
        return json.dumps(told | changed).encode()

    @property
    def members(self):
        """As bundle.members() puts them, from lists in the place of tables."""
        size, end = len(self.bodies), len(self.bodies) if self.end is None else self.end
        stored = tiles.Edge().extend(self.leaves)
        about = {
            "v": 1, "origin": ORIGIN, "size": size, "first": self.first, "end": end,
            "from": "2026-11-01" if self.first else "", "to": "2026-12-01" if end < size else "",
        }  # fmt: skip
        with open(audit.verify.__file__, "rb") as file:  # noqa: PTH123
            program = file.read()
        made = {
            "README.txt": bundle.README.encode(),
            "bundle.json": canonical(about),
            "checkpoints.txt": "\n".join(map(self.checkpoint, (*self.signed_at, size))).encode(),
            "countersign-verify.py": program,
            "entries.jsonl": b"".join(body + b"\n" for body in self.bodies[self.first : end]),
            "trust.json": self.trust(),
        }
        for at, reply in sorted(self.stamps.items()):
            made |= {f"timestamps/{at}.note": self.checkpoint(at).encode(), f"timestamps/{at}.tsr": reply}
        for level, index, width in tiles.tiles_of(size):
            made[f"tile/{tiles.path(level, index, width)}"] = stored[level, index][: width * 32]
        return made | self.changed

    def write(self, path):
        """The bundle's bytes, which are written to the file too."""
        file = io.BytesIO()
        pack.write(file, ((name, [data]) for name, data in self.members.items()))
        path.write_bytes(file.getvalue())
        return file.getvalue()


def listed(folder, log, rows, /, *, query, lines=None, **changed):
    """A list of entries and its manifest, as population.members() makes them from tables; `lines`: as JSON Lines."""
    name = "entries.csv" if lines is None else "entries.jsonl"
    data = (
        b"".join(lines or []) if lines is not None else b"".join(map(sheet.line, (population.COLUMNS, *rows)))
    )
    places = [one[0] for one in rows]
    told = {
        "v": 1, "of": "entries", "instance": ORIGIN, "software": "1", "checkpoint": log.checkpoint(),
        "size": len(log.bodies), "query": query, "query_digest": manifest.sha256(query.encode()),
        "made_at": "2026-11-23T10:00:00.000000Z", "made_by": "account-1", "verify": "", "rows": len(rows),
        "totals": dict(Counter(one[2] for one in rows)),
        "files": [{"name": name, "sha256": hashlib.sha256(data).hexdigest(), "rows": len(rows)}],
        "min_index": places[0] if places else None, "max_index": places[-1] if places else None,
    } | changed  # fmt: skip
    (folder / name).write_bytes(data)
    (folder / "manifest.json").write_bytes(manifest.sealed(told)[0])


def check(capsys, *arguments):
    """What the verifier answers, and says."""
    capsys.readouterr()
    try:
        code = audit.verify.main([str(one) for one in arguments])
    except SystemExit as ended:
        return ended.code, ""
    return code, capsys.readouterr().out


def ranges(data):
    """Where each member's head, name and content lie, and the list of members: every class of bytes of a zip."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for one in archive.infolist():
            content = one.header_offset + 30 + len(one.filename)
            yield f"head of {one.filename}", range(one.header_offset, content)
            yield one.filename, range(content, content + one.file_size)
        yield "list of members", range(archive.start_dir, len(data))


def flips(data, span, *, most, choose):
    """The data with one bit turned, at places of this span: so many, or every one."""
    for place in span if EVERY_BYTE or len(span) <= most else choose.sample(span, most):
        altered = bytearray(data)
        altered[place] ^= 1 << choose.randrange(8)
        yield place, bytes(altered)
