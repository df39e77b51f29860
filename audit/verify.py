"""Checks a Countersign ledger with Python alone: no network, no database, none of the server's code.

    verify.py export DIR --key KEY [--pinned CHECKPOINT]... [--state FILE]   an exported ledger
    verify.py proof ENTRY PROOF --key KEY                                    one entry (canonical JSON, .tlog-proof)
    verify.py consistency OLD NEW PROOF --key KEY                            that one checkpoint grew into the other

KEY is the verifier key that you noted when you first saw this log, never one that came with the files alone.
Exit code: 0 verified, 1 altered, 2 cannot tell, 3 wrong usage. What was not checked is always said.
It must never answer 0 for something that it did not check. It is one file, longer than the house allows, so that
it can be handed over alone, read in one sitting and run anywhere.
"""

import argparse
import base64
import binascii
import hashlib
import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

VERIFIED, ALTERED, UNKNOWN, USAGE = 0, 1, 2, 3
DASH = "\N{EM DASH}"


class Altered(Exception):
    """Something does not fit: the sentence says what."""


class CannotTell(Exception):
    """A file is missing or is not of a kind that this program reads."""


class Key(NamedTuple):
    name: str
    id: bytes
    public: bytes


class Head(NamedTuple):
    size: int
    root: bytes


# --- Ed25519 (RFC 8032 section 5.1.7), verification only: nothing here is secret ---------------------------

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)
Point = tuple[int, int, int, int]


def add(a: Point, b: Point) -> Point:
    """Add two points in extended coordinates."""
    left = (a[1] - a[0]) * (b[1] - b[0]) % P
    right = (a[1] + a[0]) * (b[1] + b[0]) % P
    cross, double = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = right - left, double - cross, double + cross, right + left
    return e * f % P, g * h % P, f * g % P, e * h % P


def multiply(scalar: int, point: Point) -> Point:
    """A point so many times."""
    result: Point = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point, scalar = add(point, point), scalar >> 1
    return result


def decompress(data: bytes) -> "Point | None":
    """The point of 32 bytes; None when they are none, or not the one way to write it."""
    number = int.from_bytes(data, "little")
    sign, y = number >> 255, number & (1 << 255) - 1
    if len(data) != 32 or y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT_OF_MINUS_ONE % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


BASE_Y = 4 * pow(5, P - 2, P) % P
BASE = decompress(BASE_Y.to_bytes(32, "little"))


def signature_holds(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the signature of the message is by this key."""
    point, nonce = decompress(public), decompress(signature[:32])
    scalar = int.from_bytes(signature[32:], "little")
    if BASE is None or point is None or nonce is None or len(signature) != 64 or scalar >= L:
        return False
    challenge = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % L
    left, right = multiply(scalar, BASE), add(nonce, multiply(challenge, point))
    return not (
        (left[0] * right[2] - right[0] * left[2]) % P or (left[1] * right[2] - right[1] * left[2]) % P
    )


# --- signed notes and checkpoints --------------------------------------------------------------------------


def read_key(text: str) -> Key:
    """The key from its text form; CannotTell when it is none."""
    try:
        name, key_id, encoded = text.strip().split("+", 2)
        blob = base64.b64decode(encoded, validate=True)
    except (ValueError, binascii.Error) as error:
        raise CannotTell("the key is not of the form name+id+base64") from error
    expected = hashlib.sha256(name.encode() + b"\n" + blob).digest()[:4]
    if len(blob) != 33 or blob[0] != 1 or expected.hex() != key_id:
        raise CannotTell("the key is no Ed25519 verifier key, or was copied with a mistake")
    return Key(name, expected, blob[1:])


def read_checkpoint(note: str, key: Key) -> Head:
    """Size and root of a checkpoint signed by the key; Altered when it is not."""
    text, separator, signatures = note.rpartition("\n\n")
    lines = (text + "\n").split("\n")
    if not separator or len(lines) < 4 or lines[0] != key.name:
        raise Altered("a checkpoint is missing, or is not of this log")
    if not any(_signed(line, (text + "\n").encode(), key) for line in signatures.split("\n")):
        raise Altered("a checkpoint is not signed by the given key")
    size, root = lines[1], unbase64(lines[2])
    if not size.isascii() or not size.isdigit() or str(int(size)) != size or len(root) != 32:
        raise Altered("a checkpoint is not well formed")
    return Head(int(size), root)


def _signed(line: str, text: bytes, key: Key) -> bool:
    prefix = f"{DASH} {key.name} "
    if not line.startswith(prefix):
        return False
    blob = unbase64(line[len(prefix) :])
    return blob[:4] == key.id and signature_holds(key.public, text, blob[4:])


def unbase64(text: str) -> bytes:
    """The bytes; Altered when the text is not base64."""
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error) as error:
        raise Altered("a line that should be base64 is not") from error


# --- the tree ------------------------------------------------------------------------------------------------


def leaf(body: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + body).digest()


def parent(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def grow(stack: "list[tuple[int, bytes]]", value: bytes) -> None:
    """Put one leaf on a stack of (height, hash); equal heights merge."""
    height = 0
    while stack and stack[-1][0] == height:
        value, height = parent(stack.pop()[1], value), height + 1
    stack.append((height, value))


def root(stack: "list[tuple[int, bytes]]") -> bytes:
    """The root over everything on the stack."""
    if not stack:
        return hashlib.sha256(b"").digest()
    value = stack[-1][1]
    for _, left in reversed(stack[:-1]):
        value = parent(left, value)
    return value


def root_by_path(value: bytes, index: int, size: int, path: "list[bytes]") -> bytes:
    """Where a leaf and its path lead, by recursion over the shape of the tree; Altered for a path of other length."""
    if size == 1:
        if path:
            raise Altered("the proof has too many hashes")
        return value
    if not path:
        raise Altered("the proof has too few hashes")
    half = 1 << (size - 1).bit_length() - 1
    if index < half:
        return parent(root_by_path(value, index, half, path[:-1]), path[-1])
    return parent(path[-1], root_by_path(value, index - half, size - half, path[:-1]))


def roots_by_path(
    old: Head, new_size: int, path: "list[bytes]", *, known: bool = True
) -> "tuple[bytes, bytes]":
    """The (old, new) roots that a consistency proof leads to, by recursion over the shape of the tree."""
    if old.size == new_size:
        if known:
            if path:
                raise Altered("the proof has too many hashes")
            return old.root, old.root
        if len(path) != 1:
            raise Altered("the proof has the wrong number of hashes")
        return path[0], path[0]
    if not path:
        raise Altered("the proof has too few hashes")
    half, last = 1 << (new_size - 1).bit_length() - 1, path[-1]
    if old.size <= half:
        before, after = roots_by_path(old, half, path[:-1], known=known)
        return before, parent(after, last)
    rest = Head(old.size - half, old.root)
    before, after = roots_by_path(rest, new_size - half, path[:-1], known=False)
    return parent(last, before), parent(last, after)


# --- entries -------------------------------------------------------------------------------------------------


def read_entry(body: bytes) -> "dict[str, Any]":
    """The entry, when these bytes are the one way to write it; Altered otherwise."""
    try:
        value = json.loads(body, object_pairs_hook=_once, parse_float=_no_float)
    except (ValueError, RecursionError) as error:
        raise Altered(f"an entry is not JSON: {error}") from error
    if not isinstance(value, dict) or written(value) != body:
        raise Altered("an entry is not written in its one canonical form")
    return value


def written(value: object) -> bytes:
    """Canonical bytes: the order of the keys is kept, and `_once` has checked it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


def _once(pairs: "list[tuple[str, Any]]") -> "dict[str, Any]":
    value = dict(pairs)
    if len(value) != len(pairs) or list(value) != sorted(value, key=lambda key: key.encode("utf-16-be")):
        raise ValueError("a key is doubled or out of order")
    return value


def _no_float(text: str) -> None:
    raise ValueError("a number is not an integer")


class Streams:
    """The versions of each row must follow each other without a gap, each naming the hash of the one before."""

    def __init__(self) -> None:
        self.newest: dict[str, tuple[int, bytes]] = {}

    def follow(self, index: int, entry: "dict[str, Any]", value: bytes) -> None:
        version, previous = self.newest.get(entry["stream"], (0, b""))
        said = bytes.fromhex(entry["prev"] or "")
        if entry["stream_version"] != version + 1 or said != previous:
            raise Altered(f"entry {index} does not follow its predecessor")
        self.newest[entry["stream"]] = (version + 1, value)


# --- what is asked -------------------------------------------------------------------------------------------


def check_export(args: argparse.Namespace) -> "list[str]":
    """An exported ledger: every entry, every root, every signature."""
    key = read_key(args.key)
    notes = split_notes(read_text(args.folder / "checkpoints.txt"))
    heads = [read_checkpoint(note, key) for note in notes]
    outside = [read_checkpoint(read_text(path), key) for path in args.pinned]
    if args.state is not None and args.state.exists():
        outside.append(read_checkpoint(read_text(args.state), key))
    if not heads:
        raise CannotTell("the export has no checkpoint")
    size = check_entries(args.folder / "entries.jsonl", [*heads, *outside])
    if args.state is not None:
        newest = max(range(len(heads)), key=lambda number: heads[number].size)
        args.state.write_text(notes[newest], "utf-8")
    print(f"Verified: {size} entries and {len(heads)} checkpoints fit each other and the key of {key.name}.")
    missing = [] if outside else ["whether the whole log was exchanged: give --pinned or --state"]
    return [
        *missing,
        "whether acts happened that were never recorded",
        "whether each person acted themselves",
    ]


def check_entries(path: Path, heads: "list[Head]") -> int:
    """Regrow the log from its entries; each head must be met on the way."""
    stack: list[tuple[int, bytes]] = []
    streams, size = Streams(), 0
    due: dict[int, list[bytes]] = {}
    for head in heads:
        due.setdefault(head.size, []).append(head.root)
    check_roots(due.pop(0, []), stack, 0)
    with open_file(path) as file:
        for line in file:
            body = line.removesuffix(b"\n")
            value = leaf(body)
            try:
                streams.follow(size, read_entry(body), value)
            except (KeyError, TypeError, ValueError) as error:
                raise Altered(f"entry {size} is not an entry: {error}") from error
            grow(stack, value)
            size += 1
            check_roots(due.pop(size, []), stack, size)
    if due:
        raise Altered(f"there are {size} entries, but {max(due)} were signed: the end is missing")
    if size > max(head.size for head in heads):
        raise Altered(f"there are {size} entries, but only {max(head.size for head in heads)} were signed")
    return size


def check_roots(signed: "list[bytes]", stack: "list[tuple[int, bytes]]", size: int) -> None:
    if any(one != root(stack) for one in signed):
        raise Altered(f"the first {size} entries are not those that the checkpoint of {size} signed")


def check_proof(args: argparse.Namespace) -> "list[str]":
    """One entry under one checkpoint."""
    key, lines = read_key(args.key), read_text(args.proof)
    head, _, rest = lines.partition("\nindex ")
    if not head.startswith("c2sp.org/tlog-proof@v1"):
        raise CannotTell("this is not a tlog-proof of version 1")
    numbers, _, note = rest.partition("\n\n")
    number, *hashes = numbers.split("\n")
    signed = read_checkpoint(note, key)
    if not number.isdigit() or int(number) >= signed.size:
        raise Altered("the proof names an index outside its checkpoint")
    body = read_bytes(args.entry)
    read_entry(body)
    path = [unbase64(line) for line in hashes]
    if root_by_path(leaf(body), int(number), signed.size, path) != signed.root:
        raise Altered("the entry is not in the log that the checkpoint signed")
    print(f"Verified: this is entry {number} of the {signed.size} that {key.name} signed.")
    return ["any other entry", "whether the log was exchanged as a whole: compare checkpoints with others"]


def check_consistency(args: argparse.Namespace) -> "list[str]":
    """That an older checkpoint's log is the beginning of a newer one's."""
    key = read_key(args.key)
    old, new = read_checkpoint(read_text(args.old), key), read_checkpoint(read_text(args.new), key)
    if not 0 < old.size <= new.size:
        raise CannotTell("the older checkpoint must not be empty, nor larger than the newer one")
    path = [unbase64(line) for line in read_text(args.proof).split()]
    if roots_by_path(old, new.size, path) != (old.root, new.root):
        raise Altered(f"the log of {new.size} entries does not begin with the log of {old.size}")
    print(f"Verified: the log grew from {old.size} to {new.size} entries and nothing before was changed.")
    return ["what the entries say"]


def split_notes(text: str) -> "list[str]":
    """Notes one after the other: each is a text, an empty line and signature lines."""
    parts = text.strip("\n").split("\n\n")
    pairs = zip(parts[::2], parts[1::2])  # noqa: B905 - an odd rest is no note, and the sizes tell
    return [f"{body}\n\n{signatures}\n" for body, signatures in pairs]


def open_file(path: Path) -> Any:
    try:
        return path.open("rb")
    except OSError as error:
        raise CannotTell(f"{path} cannot be read") from error


def read_bytes(path: Path) -> bytes:
    with open_file(path) as file:
        data: bytes = file.read()
    return data


def read_text(path: Path) -> str:
    try:
        return read_bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise CannotTell(f"{path} is not text") from error


class Arguments(argparse.ArgumentParser):
    """A parser that exits with 3: 1 and 2 mean something else here."""

    def error(self, message: str) -> Any:
        self.print_usage(sys.stderr)
        self.exit(USAGE, f"{message}\n")


def arguments() -> Arguments:
    parser = Arguments(description="Checks a Countersign ledger, offline.")
    what = parser.add_subparsers(required=True)
    export = what.add_parser("export", help="an exported ledger")
    export.add_argument("folder", type=Path)
    export.add_argument(
        "--pinned", type=Path, action="append", default=[], help="a checkpoint kept elsewhere"
    )
    export.add_argument("--state", type=Path, help="remembers the newest checkpoint for the next time")
    export.set_defaults(check=check_export)
    proof = what.add_parser("proof", help="one entry and its .tlog-proof")
    proof.add_argument("entry", type=Path)
    proof.add_argument("proof", type=Path)
    proof.set_defaults(check=check_proof)
    consistency = what.add_parser("consistency", help="two checkpoints and the proof between them")
    for name in ("old", "new", "proof"):
        consistency.add_argument(name, type=Path)
    consistency.set_defaults(check=check_consistency)
    for one in (export, proof, consistency):
        one.add_argument("--key", required=True, help="the verifier key that you noted earlier")
    return parser


def main(argv: "list[str] | None" = None) -> int:
    args = arguments().parse_args(argv)
    try:
        unchecked = args.check(args)
    except Altered as found:
        print(f"ALTERED: {found}.")
        return ALTERED
    except CannotTell as why:
        print(f"Cannot tell: {why}.")
        return UNKNOWN
    print("Not checked: " + "; ".join(unchecked) + ".")
    return VERIFIED


if __name__ == "__main__":
    sys.exit(main())
