"""countersign-witness: a witness of transparency logs (C2SP tlog-witness), for somebody who does not run the log.

    countersign-witness.py make NAME --folder DIR                  a key of its own; prints the verifier key
    countersign-witness.py serve --folder DIR --log KEY --listen HOST:PORT

It answers `POST /add-checkpoint`: it cosigns a checkpoint (tlog-cosignature v1, with the time) of a log whose KEY it
was told, when the checkpoint begins with the one that it cosigned last, and never otherwise. `--log` may be given
again, for another log. When a log gets another key, nobody has to tell: `POST /add-key` brings the entry that says so,
which counts where it is in the log that was cosigned last, and a key of that log that is in force vouches for it.

What it cosigned is on the disk before it answers. It needs Python and the package `cryptography`, no database and
nothing else of the log's; HTTPS is for a proxy in front of it. It is one file, so that it can be handed over alone and
read in one sitting.
"""

import argparse
import base64
import binascii
import fcntl
import hashlib
import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

LOG, COSIGNATURE = b"\x01", b"\x04"  # the algorithms' bytes in keys
DASH = "\N{EM DASH}"
MAX_BODY, MAX_PROOF, MAX_SIZE = 64 * 1024, 63, 2**53
SIZE = "text/x.tlog.size"
WORDS = {"key.added": "countersign/key-added/v1", "key.retired": "countersign/key-retired/v1"}
TIMEOUT_SECONDS = 10


class Answer(Exception):
    """Not cosigned: the status, and what is said."""

    def __init__(self, status: int, says: str, kind: str = "text/plain; charset=utf-8") -> None:
        super().__init__(says)
        self.status, self.says, self.kind = status, says, kind


class Term(NamedTuple):
    """A key of a log, and for which sizes it signs: from `begin`, before `end`."""

    public: bytes
    begin: int = 0
    end: "int | None" = None

    def covers(self, size: int) -> bool:
        return self.begin <= size and (self.end is None or size < self.end)


class Checkpoint(NamedTuple):
    text: str
    signatures: "list[tuple[str, bytes]]"
    origin: str
    size: int
    root: bytes


def key_id(name: str, algorithm: bytes, public: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + algorithm + public).digest()[:4]


def verifier_key(name: str, algorithm: bytes, public: bytes) -> str:
    encoded = base64.b64encode(algorithm + public).decode()
    return f"{name}+{key_id(name, algorithm, public).hex()}+{encoded}"


def read_key(text: str) -> "tuple[str, bytes]":
    """Name and public half of a log's key; ValueError when it is none."""
    name, written, encoded = text.strip().split("+", 2)
    blob = base64.b64decode(encoded, validate=True)
    if blob[:1] != LOG or len(blob) != 33 or key_id(name, LOG, blob[1:]).hex() != written:
        raise ValueError(f"{text} is no key of a log, or was copied with a mistake")
    return name, blob[1:]


def unbase64(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Answer(400, "a line is not base64\n") from error
    if base64.b64encode(data).decode() != text:
        raise Answer(400, "a line of base64 is not written in its one form\n")
    return data


def number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 17 and str(int(text)) == text):
        raise Answer(400, "a size is not a number\n")
    return int(text)


def read_request(body: bytes) -> "tuple[int, list[bytes], Checkpoint]":
    """The old size, the proof and the checkpoint."""
    try:
        head, _, note = body.decode("utf-8").partition("\n\n")
    except UnicodeDecodeError as error:
        raise Answer(400, "the request is not text\n") from error
    first, *proof = head.split("\n")
    if not first.startswith("old ") or len(proof) > MAX_PROOF:
        raise Answer(400, "the request begins with `old`, a size, and at most 63 lines of proof\n")
    return number(first.removeprefix("old ")), [unbase64(line) for line in proof], read_checkpoint(note)


def read_checkpoint(note: str) -> Checkpoint:
    text, separator, signatures = note.rpartition("\n\n")
    lines = text.split("\n")
    if not separator or not signatures.endswith("\n") or len(lines) < 3:
        raise Answer(400, "there is no signed checkpoint behind the empty line\n")
    size, root = number(lines[1]), unbase64(lines[2])
    if size > MAX_SIZE or len(root) != 32 or not lines[0]:
        raise Answer(400, "the checkpoint is not well formed\n")
    signed = []
    for line in signatures[:-1].split("\n"):
        dash, _, rest = line.partition(" ")
        name, _, encoded = rest.partition(" ")
        if dash != DASH or not name:
            raise Answer(400, "a signature is not well formed\n")
        signed.append((name, unbase64(encoded)))
    return Checkpoint(text + "\n", signed, lines[0], size, root)


def parent(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def follows(old: int, old_root: bytes, new: int, new_root: bytes, proof: "list[bytes]") -> bool:
    """Whether the proof leads to both roots (RFC 9162 section 2.1.4.2); `old` is neither 0 nor `new`."""
    hashes = ([old_root] if old & (old - 1) == 0 else []) + proof
    if not hashes:
        return False
    node, last = old - 1, new - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    before = after = hashes[0]
    for one in hashes[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            before, after = parent(one, before), parent(one, after)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            after = parent(after, one)
        node, last = node >> 1, last >> 1
    return last == 0 and before == old_root and after == new_root


def includes(leaf: bytes, index: int, size: int, proof: "list[bytes]", root: bytes) -> bool:
    """Whether the proof leads from this leaf to the root (RFC 9162 section 2.1.3.2)."""
    node, last, reached = index, size - 1, leaf
    for one in proof:
        if last == 0:
            return False
        if node & 1 or node == last:
            reached = parent(one, reached)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            reached = parent(reached, one)
        node, last = node >> 1, last >> 1
    return index < size and last == 0 and reached == root


class Step(NamedTuple):
    """What an entry of a log says about a key of it, and the signature of the other key."""

    kind: str
    text: str
    public: bytes
    begin: int
    signature: bytes


def read_step(entry: bytes, origin: str) -> Step:
    try:
        said = json.loads(entry)
        kind, told = said["type"], said["data"]
        name, public = read_key(told["key"])
        begin = told["from"] if kind == "key.added" else 0
        signature = unbase64(told["signature"])
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise Answer(400, "the entry says nothing of a key\n") from error
    if kind not in list(WORDS) or name != origin or type(begin) is not int:
        raise Answer(400, "the entry says nothing of a key of this log\n")
    since = f"{begin}\n" if kind == "key.added" else ""
    text = f"{WORDS[kind]}\n{origin}\n{told['key']}\n{since}"
    return Step(kind, text, public, begin, signature)


class Witness:
    """A key, the logs that it is a witness of, and what it cosigned last of each."""

    def __init__(self, folder: Path, logs: "list[str]") -> None:
        said = json.loads((folder / "witness.key").read_text())
        self.name, self.key = said["name"], Ed25519PrivateKey.from_private_bytes(bytes.fromhex(said["seed"]))
        self.folder, self.turn = folder, threading.Lock()
        self.logs: dict[str, dict[bytes, Term]] = {}
        for origin, public in map(read_key, logs):
            self.logs.setdefault(origin, {})[public] = Term(public)
        self.lock = (folder / "lock").open("w")
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # two with one memory would cosign a fork
            self.lock.close()
            raise
        self.seen: dict[str, list[Any]] = self._recall("seen")
        for origin, terms in self._recall("keys").items():  # what entries of the logs said
            for public, begin, end in terms if origin in self.logs else ():
                self.logs[origin][bytes.fromhex(public)] = Term(bytes.fromhex(public), begin, end)

    def cosign(self, body: bytes) -> str:
        """A cosignature; Answer where there is none."""
        old, proof, checkpoint = read_request(body)
        self._check_signature(checkpoint)
        if old > checkpoint.size:
            raise Answer(400, "the old size is larger than the checkpoint\n")
        with self.turn:
            size, root = self.seen.get(checkpoint.origin, [0, ""])
            if old != size:
                raise Answer(409, f"{size}\n", SIZE)
            if old == checkpoint.size and old and bytes.fromhex(root) != checkpoint.root:
                raise Answer(409, f"{size}\n", SIZE)
            grown = 0 < old < checkpoint.size
            proved = (
                follows(old, bytes.fromhex(root), checkpoint.size, checkpoint.root, proof)
                if grown
                else not proof
            )
            if not proved:
                raise Answer(422, "the proof does not show that the log only grew\n")
            now = {**self.seen, checkpoint.origin: [checkpoint.size, checkpoint.root.hex()]}
            self._remember("seen", now)
            self.seen = now
        return self._sign(checkpoint.text)

    def add_key(self, body: bytes) -> str:
        """Take what an entry of a log says about its keys; Answer where it does not count.

        The body: origin, the size that was cosigned last, the entry's index, its proof, an empty line, the entry.
        """
        head, _, entry = body.partition(b"\n\n")
        origin, size, index, *lines = [*head.decode("utf-8", "replace").split("\n"), "", ""]
        proof = [unbase64(line) for line in lines[:-2]]
        if origin not in self.logs:
            raise Answer(404, "this log is not known here\n")
        with self.turn:
            seen, root = self.seen.get(origin, [0, ""])
            if number(size) != seen:
                raise Answer(409, f"{seen}\n", SIZE)
            leaf = hashlib.sha256(b"\x00" + entry).digest()
            if not includes(leaf, number(index), seen, proof, bytes.fromhex(root)):
                raise Answer(422, "the proof does not show that the entry is in the log\n")
            self._follow(origin, read_step(entry, origin), number(index), seen)
        return "taken\n"

    def _follow(self, origin: str, step: Step, index: int, size: int) -> None:
        known = self.logs[origin].get(step.public)
        if step.kind == "key.added":
            after = known or Term(step.public, step.begin)
        else:  # from its entry on the other one signs alone
            before = known or Term(step.public)
            after = before._replace(end=min(index + 1, before.end or MAX_SIZE))
        if after == known:
            return
        if not any(_vouches(one, step, origin, size) for one in self.logs[origin].values()):
            raise Answer(403, "no key of this log that is in force vouches for it\n")
        terms = {**self.logs, origin: {**self.logs[origin], step.public: after}}
        told = {name: [[one.public.hex(), *one[1:]] for one in of.values()] for name, of in terms.items()}
        self._remember("keys", told)
        self.logs = terms

    def _check_signature(self, checkpoint: Checkpoint) -> None:
        if checkpoint.origin not in self.logs:
            raise Answer(404, "this log is not known here\n")
        for one in self.logs[checkpoint.origin].values():
            wanted = (checkpoint.origin, key_id(checkpoint.origin, LOG, one.public))
            for name, blob in checkpoint.signatures:
                mine = (name, blob[:4]) == wanted and one.covers(checkpoint.size)
                if mine and _holds(one.public, blob[4:], checkpoint.text):
                    return
        raise Answer(403, "no signature is by a key of this log that is known here\n")

    def _recall(self, name: str) -> Any:
        path = self.folder / f"{name}.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def _remember(self, name: str, value: object) -> None:
        draft = self.folder / f"{name}.new"
        with draft.open("w") as file:
            file.write(json.dumps(value))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.folder / f"{name}.json")
        folder = os.open(self.folder, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)

    def _sign(self, text: str) -> str:
        at = int(time.time())
        signature = self.key.sign(f"cosignature/v1\ntime {at}\n{text}".encode())
        identity = key_id(self.name, COSIGNATURE, self.key.public_key().public_bytes_raw())
        return (
            f"{DASH} {self.name} {base64.b64encode(identity + at.to_bytes(8, 'big') + signature).decode()}\n"
        )


def _holds(public: bytes, signature: bytes, text: str) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, text.encode())
    except InvalidSignature:
        return False
    return True


def _vouches(one: Term, step: Step, origin: str, size: int) -> bool:
    """Whether this key, which is not the one that the step is about, is in force and signed for it."""
    mine = step.signature[:4] == key_id(origin, LOG, one.public) and one.public != step.public
    return mine and one.covers(size) and _holds(one.public, step.signature[4:], step.text)


class Door(BaseHTTPRequestHandler):
    """One request."""

    witness: Witness
    protocol_version = "HTTP/1.1"
    timeout = TIMEOUT_SECONDS

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        doors = {"/add-checkpoint": self.witness.cosign, "/add-key": self.witness.add_key}
        if self.path not in doors:
            return self._say(404, "there is nothing here but /add-checkpoint and /add-key\n")
        if not length.isdigit() or int(length) > MAX_BODY:
            self.close_connection = True
            return self._say(413, "a request has a length, of 64 KiB at most\n")
        try:
            return self._say(200, doors[self.path](self.rfile.read(int(length))))
        except Answer as answer:
            return self._say(answer.status, answer.says, answer.kind)

    def _say(self, status: int, says: str, kind: str = "text/plain; charset=utf-8") -> None:
        body = says.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        sys.stderr.write(f"{self.address_string()} {format % args}\n")


def make(folder: Path, name: str) -> str:
    """A new key in the folder; its public half."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = Ed25519PrivateKey.generate()
    with (folder / "witness.key").open("x") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(json.dumps({"name": name, "seed": key.private_bytes_raw().hex()}))
    return verifier_key(name, COSIGNATURE, key.public_key().public_bytes_raw())


def main(argv: "list[str] | None" = None) -> int:
    parser = argparse.ArgumentParser(description="A witness of transparency logs.")
    what = parser.add_subparsers(dest="what", required=True)
    new = what.add_parser("make")
    new.add_argument("name")
    serve = what.add_parser("serve")
    serve.add_argument("--log", action="append", required=True)
    serve.add_argument("--listen", default="127.0.0.1:8900")
    for one in (new, serve):
        one.add_argument("--folder", type=Path, required=True)
    given = parser.parse_args(argv)
    try:
        if given.what == "make":
            print(make(given.folder, given.name))
            return 0
        Door.witness = Witness(given.folder, given.log)
        host, _, port = given.listen.rpartition(":")
        server = ThreadingHTTPServer((host, int(port)), Door)
    except (OSError, ValueError, KeyError) as error:
        print(f"Not started: {error}", file=sys.stderr)
        return 1
    print(f"Listening on {host}:{server.server_address[1]}", flush=True)
    server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
