"""countersign-verify: checks a Countersign ledger with Python alone. No network, no database, no code of the server.

    countersign-verify.py bundle FILE.zip --trust TRUST [--state SEEN]       a bundle: entries, tree, checkpoints
    countersign-verify.py signoffs FILE.zip --trust TRUST [--state SEEN]     and every decision that a passkey signed
    countersign-verify.py population MANIFEST [--bundle FILE.zip --trust TRUST]  a list: its files, then row by row
    countersign-verify.py export DIR --trust TRUST [--state SEEN]            an exported ledger
    countersign-verify.py archive DIR --trust TRUST [--state SEEN]           an archive: all of it, file by file
    countersign-verify.py tiles DIR --trust TRUST [--state SEEN]             the log as it is open to everybody: hashes
    countersign-verify.py proof ENTRY PROOF --trust TRUST                    one entry (canonical JSON, .tlog-proof)
    countersign-verify.py consistency OLD NEW PROOF --trust TRUST            that one checkpoint grew into the other

TRUST is the trust.json that you keep: what you noted when you first saw this log, never what came with the files
alone. `--key KEY` instead of it names one verifier key. Where the log got another key since, the old one vouches for it
in the log itself, and TRUST stays as it is. SEEN remembers the newest log that you have seen, and these steps.
Exit code: 0 verified, 1 altered, 2 cannot tell, 3 wrong usage. What was not checked is always said.
It must never answer 0 for something that it did not check. It is one file, longer than the house allows, so that
it can be handed over alone, read in one sitting and run anywhere.
"""

import argparse
import base64
import binascii
import csv
import hashlib
import hmac
import io
import itertools
import json
import re
import struct
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

VERIFIED, ALTERED, UNKNOWN, USAGE = 0, 1, 2, 3
DASH = "\N{EM DASH}"
MAX_ENTRY = 60_000  # bytes
MAX_OPENING = 100_000  # bytes of a line
MAX_TEXT = 256 * 2**20  # bytes of a file that is read as a whole
MAX_DEPTH = 64
MAX_INTEGER = 2**53 - 1
MAX_SIZE = 2**53  # entries of a log; with it, no path is longer than this program can walk
Entry = dict[str, Any]
Answer = tuple["list[str]", "list[str]"]  # what is verified, and what was not checked


class Altered(Exception):
    """Something does not fit: the sentence says what."""


class Unsigned(Altered):
    """No key that is trusted at its size signed a checkpoint."""


class CannotTell(Exception):
    """A file is missing or is not of a kind that this program reads."""


class Key(NamedTuple):
    """A key of the log, and for which sizes of it the key signs: from `begin`, before `end`."""

    name: str
    id: bytes
    public: bytes
    begin: int = 0
    end: "int | None" = None


class Trust(NamedTuple):
    """What the auditor pinned; `need` of the witnesses must have cosigned the newest checkpoint."""

    keys: "list[Key]"
    minimum: int = 0
    workers: "tuple[bytes, ...]" = ()
    witnesses: "tuple[Key, ...]" = ()
    need: int = 0

    @property
    def origin(self) -> str:
        return self.keys[0].name


class Head(NamedTuple):
    size: int
    root: bytes


# --- Ed25519 (RFC 8032 section 5.1.7), verification only: nothing here is secret ---------------------------

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)
Point = tuple[int, int, int, int]
ZERO: Point = (0, 1, 1, 0)


def add(a: Point, b: Point) -> Point:
    """Add two points in extended coordinates."""
    left = (a[1] - a[0]) * (b[1] - b[0]) % P
    right = (a[1] + a[0]) * (b[1] + b[0]) % P
    cross, double = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = right - left, double - cross, double + cross, right + left
    return e * f % P, g * h % P, f * g % P, e * h % P


def multiply(scalar: int, point: Any, zero: Any, plus: Callable[[Any, Any], Any]) -> Any:
    """A point so many times, on either curve."""
    result = zero
    while scalar:
        if scalar & 1:
            result = plus(result, point)
        point, scalar = plus(point, point), scalar >> 1
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
    left = multiply(scalar, BASE, ZERO, add)
    right = add(nonce, multiply(challenge, point, ZERO, add))
    return not (
        (left[0] * right[2] - right[0] * left[2]) % P or (left[1] * right[2] - right[1] * left[2]) % P
    )


# --- ECDSA over P-256 (FIPS 186-5 section 6.4.2) and RSA (RFC 8017 section 8.2.2), verification only --------

FIELD = 2**256 - 2**224 + 2**192 + 2**96 - 1
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
CURVE_B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
GENERATOR = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)
SHA256_INFO = bytes.fromhex("3031300d060960864801650304020105000420")  # DER of "what follows is a SHA-256"
Affine = tuple[int, int]


def p256_add(a: "Affine | None", b: "Affine | None") -> "Affine | None":
    """Add two points of P-256; None is the point at infinity."""
    if a is None or b is None:
        return b if a is None else a
    if a[0] == b[0]:
        if (a[1] + b[1]) % FIELD == 0:
            return None
        slope = (3 * a[0] * a[0] - 3) * pow(2 * a[1], -1, FIELD) % FIELD
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, FIELD) % FIELD
    x = (slope * slope - a[0] - b[0]) % FIELD
    return x, (slope * (a[0] - x) - a[1]) % FIELD


def ecdsa_holds(x: int, y: int, message: bytes, signature: bytes) -> bool:
    """Whether the DER signature over the message's SHA-256 is by the key at this point of P-256."""
    numbers = read_der(signature)
    on_curve = x < FIELD and y < FIELD and (y * y - x * x * x + 3 * x - CURVE_B) % FIELD == 0
    if numbers is None or not on_curve or not all(0 < one < ORDER for one in numbers):
        return False
    r, s = numbers
    inverse = pow(s, -1, ORDER)
    hashed = int.from_bytes(hashlib.sha256(message).digest(), "big")
    found = p256_add(
        multiply(hashed * inverse % ORDER, GENERATOR, None, p256_add),
        multiply(r * inverse % ORDER, (x, y), None, p256_add),
    )
    return found is not None and found[0] % ORDER == r


def read_der(data: bytes) -> "tuple[int, int] | None":
    """The two numbers of an ECDSA signature; None when it is not their one DER."""
    if len(data) < 8 or data[3] > len(data) - 7:
        return None
    r, rest = data[4 : 4 + data[3]], data[4 + data[3] :]
    s = rest[2:]
    numbers = int.from_bytes(r, "big"), int.from_bytes(s, "big")
    body = b"".join(
        bytes([2, len(one)]) + one
        for one in (number.to_bytes(number.bit_length() // 8 + 1, "big") for number in numbers)
    )
    return numbers if len(body) < 128 and bytes([0x30, len(body)]) + body == data else None


def rsa_holds(modulus: bytes, exponent: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the PKCS #1 v1.5 signature over the message's SHA-256 is by this key."""
    n, e = int.from_bytes(modulus, "big"), int.from_bytes(exponent, "big")
    size, number = (n.bit_length() + 7) // 8, int.from_bytes(signature, "big")
    if not (2048 <= n.bit_length() <= 8192 and n & 1 and 3 <= e < 2**33 and e & 1):
        return False
    if len(signature) != size or number >= n:
        return False
    told = SHA256_INFO + hashlib.sha256(message).digest()
    padded = b"\x00\x01" + b"\xff" * (size - len(told) - 3) + b"\x00" + told
    return pow(number, e, n).to_bytes(size, "big") == padded


# Keys of passkeys are COSE in the one order that CTAP2 allows, so they are read by their pattern.
ES256 = re.compile(rb"\xa5\x01\x02\x03\x26\x20\x01\x21\x58\x20(.{32})\x22\x58\x20(.{32})", re.DOTALL)
EDDSA = re.compile(rb"\xa4\x01\x01\x03\x27\x20\x06\x21\x58\x20(.{32})", re.DOTALL)
RS256 = re.compile(rb"\xa4\x01\x03\x03\x39\x01\x00\x20\x59(..)(.{256,1024})\x21\x43(...)", re.DOTALL)


def device_signed(cose: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the holder of a COSE key signed: ES256, EdDSA or RS256; CannotTell for other kinds."""
    if found := ES256.fullmatch(cose):
        x, y = (int.from_bytes(one, "big") for one in found.groups())
        return ecdsa_holds(x, y, message, signature)
    if found := EDDSA.fullmatch(cose):
        return signature_holds(found[1], message, signature)
    found = RS256.fullmatch(cose)
    if found and int.from_bytes(found[1], "big") == len(found[2]):
        return rsa_holds(found[2], found[3], message, signature)
    raise CannotTell("a passkey is of a kind that this program does not read")


# --- keys, signed notes and checkpoints ----------------------------------------------------------------------


LOG, COSIGNATURE = 1, 4  # the algorithms' bytes in keys


def read_key(text: str, begin: int = 0, end: "int | None" = None, kind: int = LOG) -> Key:
    """The key from its text form; CannotTell when it is none."""
    try:
        name, key_id, encoded = text.strip().split("+", 2)
        blob = base64.b64decode(encoded, validate=True)
    except (ValueError, binascii.Error) as error:
        raise CannotTell("the key is not of the form name+id+base64") from error
    expected = hashlib.sha256(name.encode() + b"\n" + blob).digest()[:4]
    if len(blob) != 33 or blob[0] != kind or expected.hex() != key_id:
        raise CannotTell("the key is no Ed25519 verifier key, or was copied with a mistake")
    return Key(name, expected, blob[1:], begin, end)


def read_trust(args: argparse.Namespace) -> Trust:
    """What is pinned: by a trust.json, or one key by itself."""
    if args.trust is None:
        return Trust([read_key(args.key)])
    try:
        said = read_json(read_bytes(args.trust, MAX_ENTRY), by_hand=True)
        seen = said.pop("witnesses", {"need": 0, "keys": []})
        fit(said, {"v": 1, "origin": str, "keys": list, "minimum_size": int, "workers": list})
        fit(seen, {"need": int, "keys": list})
        witnesses = tuple(read_key(one, kind=COSIGNATURE) for one in seen["keys"])
        for one in said["keys"]:
            fit(one, {"key": str, "from": int, "until": (int, type(None))})
        keys = [read_key(one["key"], one["from"], one["until"]) for one in said["keys"]]
        workers = tuple(bytes.fromhex(one) for one in said["workers"])
    except (Altered, ValueError, TypeError, AttributeError) as error:
        raise CannotTell(f"{args.trust} is not a trust.json that this program reads: {error}") from error
    if not keys or any(key.name != said["origin"] for key in keys):
        raise CannotTell(f"{args.trust} names no key of its origin, or one of another")
    if not 0 <= seen["need"] <= len({one.public for one in witnesses}):
        raise CannotTell(f"{args.trust} demands more witnesses than it names")
    return Trust(keys, said["minimum_size"], workers, witnesses, seen["need"])


def read_checkpoint(note: str, trust: Trust) -> Head:
    """Size and root of a checkpoint signed by a key that was valid at its size; Altered when it is not."""
    text, separator, signatures = note.rpartition("\n\n")
    lines = (text + "\n").split("\n")
    if not separator or not signatures.endswith("\n") or len(lines) < 4 or lines[0] != trust.origin:
        raise Altered("a checkpoint is missing, or is not of this log")
    size, root = lines[1], unbase64(lines[2])
    if not is_number(size) or int(size) > MAX_SIZE or len(root) != 32:
        raise Altered("a checkpoint is not well formed")
    head = Head(int(size), root)
    signed = [_signed_by(line, (text + "\n").encode(), trust) for line in signatures[:-1].split("\n")]
    if not any(key is not None and covers(key, head.size) for key in signed):
        raise Unsigned("a checkpoint is not signed by a key that you trust at its size")
    return head


def covers(key: Key, size: int) -> bool:
    """Whether the key signs a log of this size."""
    return key.begin <= size and (key.end is None or size < key.end)


def witnessed(note: str, trust: Trust) -> Answer:
    """Who of the witnesses cosigned this checkpoint, and when; CannotTell when these are fewer than demanded."""
    if not trust.witnesses:
        return [], ["whether witnesses saw this log: your trust.json names none"]
    text, _, signatures = note.rpartition("\n\n")
    found: dict[bytes, str] = {}
    for line in signatures[:-1].split("\n"):
        _, _, rest = line.partition(" ")
        name, _, encoded = rest.partition(" ")
        blob = unbase64(encoded)
        for key in trust.witnesses:
            if (name, blob[:4]) == (key.name, key.id):
                found[key.public] = f"{name} at {_cosigned_at(blob[4:], key, text)}"
    if len(found) < trust.need:
        few = f"{len(found)} of {len(trust.witnesses)} witnesses cosigned the newest checkpoint"
        raise CannotTell(f"{few}, and you demand {trust.need}")
    who = ", ".join(sorted(found.values())) or "nobody"
    said = f"{len(found)} of {len(trust.witnesses)} witnesses cosigned the newest checkpoint: {who}."
    return [said], [] if trust.need else ["that witnesses saw this log: your trust.json demands none"]


def _cosigned_at(blob: bytes, key: Key, text: str) -> str:
    """When a witness says that it saw this log (C2SP tlog-cosignature v1); Altered when it did not say so."""
    at = int.from_bytes(blob[:8], "big")
    if len(blob) != 72 or not signature_holds(
        key.public, f"cosignature/v1\ntime {at}\n{text}\n".encode(), blob[8:]
    ):
        raise Altered(f"the cosignature of {key.name} does not fit the checkpoint")
    if at >= 253_402_300_800:  # the year 10000
        raise Altered(f"the cosignature of {key.name} is of no time")
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at))


def _signed_by(line: str, text: bytes, trust: Trust) -> "Key | None":
    """Whose signature this line is; None for those of others, which witnesses may add."""
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    blob = unbase64(encoded)
    if dash != DASH or not name or len(blob) < 5:
        raise Altered("a signature of a checkpoint is not well formed")
    for key in trust.keys:
        if name == key.name and blob[:4] == key.id:
            if not signature_holds(key.public, text, blob[4:]):
                raise Altered("the signature of a checkpoint does not fit its text")
            return key
    return None


def is_number(text: str) -> bool:
    """Whether this is the one way to write a whole number that is not too large."""
    return text.isascii() and text.isdigit() and len(text) < 17 and str(int(text)) == text


def unbase64(text: str) -> bytes:
    """The bytes; Altered when the text is not their one base64."""
    try:
        data = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error) as error:
        raise Altered("a line that should be base64 is not") from error
    if base64.b64encode(data).decode() != text:
        raise Altered("a line of base64 is not written in its one form")
    return data


def unbase64url(text: str) -> bytes:
    """The same without padding and in the other alphabet, as browsers write it."""
    if set(text) & set("+/="):
        raise Altered("a text that should be base64url is not")
    return unbase64(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4))


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


def check_tree(leaves: Iterable[bytes], heads: "list[Head]") -> int:
    """Regrow the log from its leaves; each head must be met on the way. Its size."""
    stack: list[tuple[int, bytes]] = []
    due: dict[int, list[bytes]] = {}
    for head in heads:
        due.setdefault(head.size, []).append(head.root)
    for size, value in enumerate(itertools.chain([b""], leaves)):  # before the first leaf, the empty log
        if size:
            grow(stack, value)
        if any(one != root(stack) for one in due.pop(size, [])):
            raise Altered(f"the first {size} entries are not those that the checkpoint of {size} signed")
    if due:
        raise Altered(f"there are {size} entries, but {max(due)} were signed: the end is missing")
    if size > max(head.size for head in heads):
        raise Altered(f"there are {size} entries, but only {max(head.size for head in heads)} were signed")
    return size


# --- canonical JSON and entries --------------------------------------------------------------------------------


def read_json(body: bytes, *, by_hand: bool = False) -> Any:
    """The value, when these bytes are the one way to write it, or people may write it; Altered otherwise."""
    hook = _by_hand if by_hand else _in_order
    try:
        text = body.decode("utf-8")
        value = None if by_hand else plain(text)
        if value is not None:
            return value
        value = json.loads(text, object_pairs_hook=hook, parse_float=_refused, parse_constant=_refused)
        check_profile(value, 0)
        if not by_hand and written(value) != body:
            raise Altered("it is not written in its one canonical form")
    except (ValueError, RecursionError) as error:
        raise Altered(f"it is not canonical JSON: {error}") from error
    return value


def plain(text: str) -> Any:
    """The same, quickly, of ASCII that is not deep, as nearly every entry is; None where it takes a closer look.

    Written again with its keys sorted it must be the same: so no key is there twice or out of order, and in ASCII the
    order of Python's texts is that of their UTF-16.
    """
    if not text.isascii() or text.count("{") + text.count("[") > MAX_DEPTH:
        return None
    try:
        value = READER.decode(text)
        return value if WRITER.encode(value) == text else None
    except ValueError:
        return None


def _whole(text: str) -> int:
    if len(text) > 17 or abs(int(text)) > MAX_INTEGER:
        raise ValueError("a number is too large")
    return int(text)


def written(value: object) -> bytes:
    """Canonical bytes, the keys in the order that they have."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8")


def canonical(value: "dict[str, Any]") -> bytes:
    """Canonical bytes of a flat object that this program put together; its keys are ASCII."""
    return written({name: value[name] for name in sorted(value)})


def _by_hand(pairs: "list[tuple[str, Any]]") -> "dict[str, Any]":
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a key is doubled")
    return dict(pairs)


def _in_order(pairs: "list[tuple[str, Any]]") -> "dict[str, Any]":
    keys = [key.encode("utf-16-be", "surrogatepass") for key, _ in pairs]
    if keys != sorted(keys):
        raise ValueError("a key is out of order")
    return _by_hand(pairs)


def _refused(text: str) -> None:
    raise ValueError("a number is not an integer")


READER = json.JSONDecoder(parse_float=_refused, parse_constant=_refused, parse_int=_whole)
WRITER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def check_profile(value: Any, depth: int) -> None:
    """ValueError for what is nested too deep, and for a number that not every reader keeps exact."""
    if depth > MAX_DEPTH or (isinstance(value, int) and abs(value) > MAX_INTEGER):
        raise ValueError("it is nested too deep, or a number is too large")
    if isinstance(value, (dict, list)):
        for one in value.values() if isinstance(value, dict) else value:
            check_profile(one, depth + 1)


def fit(value: Any, shape: "dict[str, Any]") -> None:
    """Whether the object has exactly these fields, each of its type, or just this value; Altered otherwise."""
    if not isinstance(value, dict) or value.keys() != shape.keys():
        raise Altered(f"an object does not have exactly the fields {', '.join(shape)}")
    for name, kind in shape.items():
        if value[name].__class__ is kind:  # most are
            continue
        of_type = isinstance(kind, (type, tuple)) and isinstance(value[name], kind)
        if not (of_type or value[name] == kind) or isinstance(value[name], bool):
            raise Altered(f"the field {name} is not what it should be")


ENTRY = {
    "v": 1, "id": str, "type": str, "time": str, "stream": str, "stream_version": int,
    "prev": (str, type(None)), "state": (dict, type(None)), "actor": dict, "subject": str, "data": dict,
}  # fmt: skip

COMMITTING = {**ENTRY, "v": 2, "sd": dict}
ACTOR = {"id": str, "kind": str, "auth": str}


PATH = re.compile(r"data\.([a-z][a-z0-9_]{0,50})", re.ASCII)


def read_entry(body: bytes) -> Entry:
    """The entry, when these bytes are the one way to write one; Altered otherwise."""
    if len(body) > MAX_ENTRY:
        raise Altered("an entry is larger than entries are")
    value: Entry = read_json(body)
    commits = isinstance(value, dict) and value.get("v") == 2
    fit(value, COMMITTING if commits else ENTRY)
    fit(value["actor"], ACTOR)
    for path, made in value["sd"].items() if commits else ():
        name = PATH.fullmatch(path)
        if name is None or name[1] in value["data"] or not re.fullmatch("[0-9a-f]{64}", str(made)):
            raise Altered("what it commits to is not written as entries do")
    if commits and not value["sd"]:
        raise Altered("it is of version 2 and commits to nothing")
    return value


See = Callable[[int, Entry, bytes], None]


def check_entries(bodies: Iterable[bytes], first: int, see: "list[See]") -> Iterator[bytes]:
    """The leaves of these entries, each looked at on the way.

    The versions of each row must follow each other without a gap, each naming the hash of the one before; what the
    first one follows may lie before the first entry that is here.
    """
    newest: dict[str, tuple[int, Any]] = {}
    for index, body in enumerate(bodies, start=first):
        value = leaf(body)
        try:
            entry = read_entry(body)
        except Altered as fault:
            raise Altered(f"entry {index} is not as entries are: {fault}") from fault
        version, before = entry["stream_version"], entry["prev"]
        known = newest.get(entry["stream"])
        if known is None:
            known = (version - 1, before) if first and version > 1 else (0, None)
        if (version, before) != (known[0] + 1, known[1]):
            raise Altered(f"entry {index} does not follow its predecessor")
        newest[entry["stream"]] = (version, value.hex())
        for one in see:
            one(index, entry, value)
        yield value


# --- texts that an entry only commits to ---------------------------------------------------------------------


class Openings:
    """What people typed, as it came with the entries: each text must be the one that its entry committed to.

    Texts can be erased, and an entry holds without them: which were not there is counted, never guessed.
    """

    def __init__(self, lines: "Iterable[bytes]") -> None:
        self.lines = iter(lines)
        self.due = self._next()
        self.texts: dict[str, str] = {}  # of the entry that was seen last, by path
        self.held = self.missing = 0

    def _next(self) -> "Entry | None":
        line = next(self.lines, None)
        if line is None:
            return None
        told: Entry = read_json(line)
        fit(told, {"index": int, "path": str, "salt": str, "value": str})
        if not re.fullmatch("[0-9a-f]{64}", told["salt"]):
            raise Altered("a text came without a salt of 32 bytes")
        return told

    def see(self, index: int, entry: Entry, _: bytes) -> None:
        self.texts = {}
        for path, made in entry.get("sd", {}).items():
            if self.due is None or (self.due["index"], self.due["path"]) != (index, path):
                self.missing += 1
                continue
            message = path.encode() + b"\0" + written(self.due["value"])
            if hmac.new(bytes.fromhex(self.due["salt"]), message, hashlib.sha256).hexdigest() != made:
                raise Altered(f"a text of entry {index} is not the one that the entry committed to")
            self.texts[path] = self.due["value"]
            self.held, self.due = self.held + 1, self._next()

    def conclude(self) -> Answer:
        """What holds, and how much nobody could look at."""
        if self.due is not None:
            raise Altered(f"the text for entry {self.due['index']} is of no entry here, or not in its place")
        held = [f"{self.held} texts are what their entries committed to."] if self.held else []
        missing = (
            f"{self.missing} texts that entries commit to and that are not here: erased, or not handed out"
        )
        return held, [missing] if self.missing else []


# --- from one key of the log to the next -------------------------------------------------------------------------

STEP = re.compile(r"keys/(0|[1-9][0-9]{0,15})\.json", re.ASCII)
ADDED, RETIRED = "key.added", "key.retired"
WORDS = {
    ADDED: "countersign/key-added/v1",
    RETIRED: "countersign/key-retired/v1",
}  # what one key says of another


class Keys:
    """The keys of the log, from those that are pinned on: the log itself tells of the others, step by step.

    A step is an entry with its proof. It counts where a key that is in force signed the checkpoint of the proof, and
    such a key signed for the step itself; another one is said, and nothing is believed for it.
    """

    def __init__(self, trust: Trust) -> None:
        self.trust, self.pinned, self.heads = trust, len(trust.keys), list[Head]()
        self.taken: list[str] = []  # the lines that counted
        self.passed: list[str] = []  # the places of those that did not

    def take(self, lines: Iterable[bytes]) -> "list[int]":
        """Follow these steps; their places."""
        places = []
        for line in lines:
            told = read_json(line)
            fit(told, {"entry": str, "proof": str})
            body = told["entry"].encode()
            entry, (index, path, note) = read_entry(body), read_proof(told["proof"])
            places.append(index)
            try:
                head = proved(body, index, path, read_checkpoint(note, self.trust))
                keys = self._after(index, entry, head.size)
            except Unsigned:
                self.passed.append(str(index))
                continue
            self.trust = self.trust._replace(keys=keys)
            self.heads.append(head)
            if line.decode() not in self.taken:
                self.taken.append(line.decode())
        return places

    def _after(self, index: int, entry: Entry, size: int) -> "list[Key]":
        """The keys once this step counts; Unsigned where it does not."""
        added, data, keys = entry["type"] == ADDED, entry["data"], self.trust.keys
        if entry["type"] not in WORDS:
            raise Unsigned("the entry says nothing of a key")
        try:
            fit(data, {"key": str, "signature": str, **({"from": int} if added else {})})
            of, signature = read_key(data["key"], data.get("from", 0)), unbase64(data["signature"])
        except (Altered, CannotTell) as fault:
            raise Unsigned("it is no step from one key to another for which a key vouches") from fault
        if of.name != self.trust.origin:
            raise Unsigned("the key is of another log")
        known = next((key for key in keys if key.public == of.public), of)
        if added:
            after = [*keys, of] if known is of else keys
        else:  # from its entry on the other one signs alone
            ended = known._replace(end=min(index + 1, known.end or index + 1))
            after = [ended if key is known else key for key in keys]
        if after != keys and not self._vouched(entry["type"], of, data, signature, size):
            raise Unsigned("no key that is in force there vouches for it")
        return after

    def _vouched(self, kind: str, of: Key, data: "dict[str, Any]", signature: bytes, size: int) -> bool:
        """Whether another key, in force at this size, signed for the step."""
        since = f"{of.begin}\n" if kind == ADDED else ""
        said = f"{WORDS[kind]}\n{of.name}\n{data['key']}\n{since}".encode()
        return any(
            key.public != of.public
            and key.id == signature[:4]
            and covers(key, size)
            and signature_holds(key.public, said, signature[4:])
            for key in self.trust.keys
        )

    def conclude(self) -> Answer:
        """Which keys were learned, and what was not believed."""
        learned = [f"{key.name}+{key.id.hex()} from {key.begin} on" for key in self.trust.keys[self.pinned :]]
        said = f"the keys that you pinned vouch in the log for {', '.join(learned)}."
        passed = ", ".join(self.passed)
        unsaid = (
            f"steps to other keys for which no key that you trust vouches, so they are not believed: {passed}"
        )
        return [said] if learned else [], [unsaid] if passed else []


def read_proof(text: str) -> "tuple[int, list[bytes], str]":
    """Index, path and checkpoint of a .tlog-proof (C2SP tlog-proof)."""
    if not text.startswith("c2sp.org/tlog-proof@v1\nindex "):
        raise CannotTell("this is not a tlog-proof of version 1")
    numbers, _, note = text.removeprefix("c2sp.org/tlog-proof@v1\nindex ").partition("\n\n")
    number, *hashes = numbers.split("\n")
    if not is_number(number):
        raise Altered("the proof names an index that is none")
    return int(number), [unbase64(line) for line in hashes], note


def proved(body: bytes, index: int, path: "list[bytes]", signed: Head) -> Head:
    """The head, once the path leads to it from this entry."""
    if index >= signed.size:
        raise Altered("the proof names an index outside its checkpoint")
    if root_by_path(leaf(body), index, signed.size, path) != signed.root:
        raise Altered("the entry is not in the log that the checkpoint signed")
    return signed


# --- the bundle: a zip in its one form --------------------------------------------------------------------------

LOCAL, CENTRAL, END = "<4s5H3I2H", "<4s6H3I5H2I", "<4s4H2IH"
MADE_BY, NEEDS, JANUARY_1980 = 3 << 8 | 20, 20, 33
MOST_MEMBERS, MOST_BYTES = 2**16 - 1, 2**32 - 1  # beyond, a zip has a second form
PIECE = 2**20
TILE = 256
FIXED = (
    "README.txt",
    "bundle.json",
    "checkpoints.txt",
    "countersign-verify.py",
    "entries.jsonl",
    "trust.json",
)
TEXTS = "openings.jsonl"  # behind the entries, where texts were handed out
NAME = re.compile(rb"[a-z][a-z0-9._/-]{0,99}|README\.txt", re.ASCII)


class Bundle:
    """A zip whose members lie one after the other, as they are and with nothing between: every byte has its check.

    Nothing is ever unpacked to a disk, and a stored member cannot be larger than it is.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with open_file(path) as file:
            self.members = read_zip(file)
        missing = [name for name in FIXED if name not in self.members]
        if missing:
            raise CannotTell(f"the bundle has no {missing[0]}")

    def read(self, name: str) -> bytes:
        offset, size = self.members.get(name, (0, MAX_TEXT + 1))
        if size > MAX_TEXT:
            raise Altered(f"the bundle has no {name} of a size that this program reads")
        with open_file(self.path) as file:
            file.seek(offset)
            data: bytes = file.read(size)
        return data

    def lines(self, name: str, most: int = MAX_ENTRY) -> Iterator[bytes]:
        """The lines of a member, without their ends."""
        with open_file(self.path) as file:
            file.seek(self.members[name][0])
            yield from read_lines(file, self.members[name][1], most)

    def openings(self) -> "Openings":
        """The texts that came along, if any did."""
        return Openings(self.lines(TEXTS, MAX_OPENING) if TEXTS in self.members else [])

    def expected(self, size: int, others: "list[str]") -> "list[str]":
        """Its members, in their order."""
        fixed = [one for one in (*FIXED[:5], TEXTS, *FIXED[5:]) if one != TEXTS or TEXTS in self.members]
        return [*fixed, *others, *(tile_name(*one) for one in tiles_of(size))]


def read_zip(file: Any) -> "dict[str, tuple[int, int]]":
    """Offset and size of each member, once its checksum and every byte around it fitted; Altered otherwise."""
    members: dict[str, tuple[int, int]] = {}
    central = b""
    while True:
        offset, head = file.tell(), file.read(struct.calcsize(LOCAL))
        if head[:4] != b"PK\x03\x04":
            break
        if len(head) != struct.calcsize(LOCAL) or len(members) == MOST_MEMBERS or offset > MOST_BYTES:
            raise Altered("the bundle ends in the middle, or is larger than bundles are")
        *_, crc, _, size, length, _ = struct.unpack(LOCAL, head)
        expected = struct.pack(LOCAL, b"PK\x03\x04", NEEDS, 0, 0, 0, JANUARY_1980, crc, size, size, length, 0)
        raw = file.read(length)
        if head != expected or not NAME.fullmatch(raw) or b".." in raw or raw.decode() in members:
            raise Altered("the bundle has a member that is not written as bundles are, or one twice")
        members[raw.decode()] = file.tell(), size
        if checksum(file, size) != crc:
            raise Altered(f"{raw.decode()} in the bundle was changed: its checksum does not fit")
        fields = (MADE_BY, NEEDS, 0, 0, 0, JANUARY_1980, crc, size, size, length, 0, 0, 0, 0)
        central += struct.pack(CENTRAL, b"PK\x01\x02", *fields, 0o100644 << 16, offset) + raw
    if not members:
        raise CannotTell("this is not a bundle")
    count = len(members)
    if offset > MOST_BYTES:
        raise Altered("the bundle is larger than bundles are")
    end = struct.pack(END, b"PK\x05\x06", 0, 0, count, count, len(central), offset, 0)
    if head + file.read(len(central) + len(end)) != central + end:
        raise Altered("the list of the bundle's members does not fit them, or something follows it")
    return members


def checksum(file: Any, size: int) -> int:
    """CRC-32 of what comes next; Altered when there is less."""
    crc = 0
    while size:
        piece = file.read(min(PIECE, size))
        if not piece:
            raise Altered("the bundle ends in the middle")
        crc, size = zlib.crc32(piece, crc), size - len(piece)
    return crc


def read_lines(file: Any, size: "int | None" = None, most: int = MAX_ENTRY) -> Iterator[bytes]:
    """Lines of at most one entry each; Altered for a longer one, or a last one without its end."""
    while line := file.readline(most + 1 if size is None else min(most + 1, size)):
        if not line.endswith(b"\n"):
            raise Altered("a line is longer than entries are, or its end is missing")
        size = None if size is None else size - len(line)
        yield line[:-1]


def tiles_of(size: int) -> Iterator[tuple[int, int, int]]:
    """Level, index and width of each tile of a log of this size."""
    level = 0
    while level == 0 or size:
        whole, rest = divmod(size, TILE)
        yield from ((level, index, TILE) for index in range(whole))
        if rest:
            yield level, whole, rest
        level, size = level + 1, whole


def tile_name(level: int, index: int, width: int) -> str:
    """Its address as C2SP tlog-tiles writes it."""
    groups = [f"{index % 1000:03d}"]
    while index >= 1000:
        index //= 1000
        groups.insert(0, f"x{index % 1000:03d}")
    return f"tile/{level}/{'/'.join(groups)}" + (f".p/{width}" if width < TILE else "")


def tile_hashes(bundle: "Bundle | Archive | Mirror", size: int) -> Iterator[bytes]:
    """The leaves of the log from its lowest tiles; those above must be what these lead to."""
    above: dict[int, list[bytes]] = {0: []}
    for level, index, width in tiles_of(size):
        data = bundle.read(tile_name(level, index, width))
        hashes = [data[at : at + 32] for at in range(0, len(data), 32)]
        if len(data) != width * 32:
            raise Altered(f"tile {level}/{index} does not hold {width} hashes")
        if level and hashes != above[level][index * TILE : index * TILE + width]:
            raise Altered(f"tile {level}/{index} is not what the tiles below it lead to")
        if width == TILE:
            stack: list[tuple[int, bytes]] = []
            for one in hashes:
                grow(stack, one)
            above.setdefault(level + 1, []).append(root(stack))
        if not level:
            yield from hashes


# --- the archive: a folder whose newest manifest vouches for every file ------------------------------------------

MANIFEST_OF_FILES = {
    "v": 1, "origin": str, "size": int, "checkpoint": str, "files": list, "from": int, "before": str,
    "before_version": str,
}  # fmt: skip


class Archive:
    """The manifests, each named by the digest in the one after it, and the files that they name."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.manifests = folder, list[dict[str, Any]]()
        self.digests: dict[str, str] = {}
        names = sorted(one.name for one in (folder / "archive").glob("*.json"))
        if not names:
            raise CannotTell(f"{folder} holds no manifest of an archive")
        name, due = names[-1], ""
        while name:
            if not (folder / "archive" / name).exists():
                raise Altered(f"the manifest {name} is missing, which the next one names")
            data = read_bytes(folder / "archive" / name)
            if due not in {"", f"sha256:{hashlib.sha256(data).hexdigest()}"}:
                raise Altered(f"the manifest {name} is not the one that the next one names")
            said = self._read_manifest(data, name)
            self.manifests.append(said)
            name, due = (f"{said['from']:016d}.json" if said["from"] else ""), said["before"]
        self.size: int = self.manifests[0]["size"]

    def _read_manifest(self, data: bytes, name: str) -> "dict[str, Any]":
        said: dict[str, Any] = read_json(data)
        fit(said, MANIFEST_OF_FILES)
        if not 0 <= said["from"] < said["size"] <= MAX_SIZE or name != f"{said['size']:016d}.json":
            raise Altered(f"the manifest {name} does not say which entries it adds")
        if bool(said["from"]) != bool(said["before"]):
            raise Altered(f"the manifest {name} does not name the one before it")
        for one in said["files"]:
            fit(one, {"name": str, "sha256": str, "version": str})
            if not NAME.fullmatch(one["name"].encode()) or ".." in one["name"]:
                raise Altered(f"the manifest {name} names a file that is none of an archive")
            if self.digests.setdefault(one["name"], one["sha256"]) != one["sha256"]:
                raise Altered(f"two manifests name {one['name']} and mean different files")
        return said

    def read(self, name: str) -> bytes:
        """A file, once it is the one that a manifest names."""
        if name not in self.digests:
            raise Altered(f"no manifest names {name}: the archive has a hole")
        if not (self.folder / name).exists():
            raise Altered(f"{name} is missing, which a manifest names")
        data = read_bytes(self.folder / name)
        if hashlib.sha256(data).hexdigest() != self.digests[name]:
            raise Altered(f"{name} was changed: its digest is not that of the manifest")
        return data

    def bodies(self) -> Iterator[bytes]:
        """The entries, in the order of the log; in their bundles each stands behind its length."""
        for level, index, width in tiles_of(self.size):
            if level:
                return
            name, at = tile_name(level, index, width).replace("tile/0/", "tile/entries/"), 0
            data = self.read(name)
            for _ in range(width):
                size = int.from_bytes(data[at : at + 2], "big")
                if at + 2 + size > len(data):
                    raise Altered(f"{name} does not hold {width} entries")
                yield data[at + 2 : at + 2 + size]
                at += 2 + size
            if at != len(data):
                raise Altered(f"{name} holds more than {width} entries")


# --- timestamps (RFC 3161): what they are over, and when they say that was. Who signed them is not checked here -------

STAMP = re.compile(r"timestamps/(0|[1-9][0-9]{0,15})\.(note|tsr)", re.ASCII)
HASHES = {  # DER of the hash's name
    bytes.fromhex("608648016503040201"): hashlib.sha256,
    bytes.fromhex("608648016503040202"): hashlib.sha384,
    bytes.fromhex("608648016503040203"): hashlib.sha512,
}
TST_INFO = bytes.fromhex("2a864886f70d0109100104")
UTC = re.compile(rb"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(?:\.\d+)?Z")
SEQUENCE, INTEGER, OCTETS, NAMED, GENERAL_TIME, EXPLICIT = 0x30, 0x02, 0x04, 0x06, 0x18, 0xA0


def der(data: bytes, *tags: int) -> "list[bytes]":
    """The contents of the first values in DER, which must have these tags; what follows them is not looked at."""
    found, at = [], 0
    for tag in tags:
        head = data[at : at + 2]
        size = head[1] if len(head) == 2 else -1
        start = at + 2
        if size > 0x80:
            start += size - 0x80
            size = int.from_bytes(data[at + 2 : start], "big") if size <= 0x84 else -1
        if len(head) < 2 or head[0] != tag or size in (-1, 0x80) or start + size > len(data):
            raise Altered("a timestamp is not written as timestamps are")
        found.append(data[start : start + size])
        at = start + size
    return found


def read_stamp(reply: bytes, note: bytes) -> str:
    """When an authority's reply says that it saw this note; Altered when it is over something else."""
    [whole] = der(reply, SEQUENCE)
    _, token = der(whole, SEQUENCE, SEQUENCE)
    _, content = der(token, NAMED, EXPLICIT)
    [signed] = der(content, SEQUENCE)
    *_, encapsulated = der(signed, INTEGER, 0x31, SEQUENCE)
    kind, explicit = der(encapsulated, NAMED, EXPLICIT)
    [octets] = der(explicit, OCTETS)
    [info] = der(octets, SEQUENCE)
    _, _, imprint, _, at = der(info, INTEGER, NAMED, SEQUENCE, INTEGER, GENERAL_TIME)
    algorithm, value = der(imprint, SEQUENCE, OCTETS)
    [name] = der(algorithm, NAMED)
    when = UTC.fullmatch(at)
    if kind != TST_INFO or when is None:
        raise Altered("a timestamp is not written as timestamps are")
    if name not in HASHES:
        raise CannotTell("a timestamp is over a hash that this program does not read")
    if HASHES[name](note).digest() != value:
        raise Altered("a timestamp is over something else than the checkpoint beside it")
    return "{}-{}-{} {}:{}:{} UTC".format(*(one.decode() for one in when.groups()))


def stamps_of(
    names: Iterable[str], read: "Callable[[str], bytes]", trust: Trust
) -> "tuple[list[Head], Answer]":
    """The checkpoints that timestamps are over: heads that the log must have had, and what is to be said of them."""
    found = {name: int(match[1]) for name in names if (match := STAMP.fullmatch(name))}
    heads, times = [], []
    for size in sorted(set(found.values())):
        if {f"timestamps/{size}.note", f"timestamps/{size}.tsr"} - set(found):
            raise Altered(f"of the timestamp over {size} entries a half is missing")
        note, reply = (read(f"timestamps/{size}.{end}") for end in ("note", "tsr"))
        try:
            heads.append(read_checkpoint(note.decode(), trust))
        except UnicodeDecodeError as error:
            raise Altered("a checkpoint is not text") from error
        if heads[-1].size != size:
            raise Altered(f"the timestamp over {size} entries is over another checkpoint")
        times.append(read_stamp(reply, note))
    if not heads:
        return [], ([], [])
    last = f"the newest, over {heads[-1].size} entries, says {times[-1]}"
    said = f"checkpoints of this log that timestamps are over: {len(heads)}; {last}."
    openssl = "openssl ts -verify -data timestamps/{0}.note -in timestamps/{0}.tsr -CAfile CA.pem".format(
        heads[-1].size
    )
    return heads, ([said], [f"who signed the timestamps, and so when they were made: {openssl}"])


# --- what passkeys signed -----------------------------------------------------------------------------------------

VOUCHED = ("passkey", "credential", "public_key", "rp", "person", "account")
STATED = ("digest", "chain_digest", "stage", "decision", "condition_digest")
APPROVING = ("approve", "approve_with_condition")
PERSON_VERIFIED = 0x05  # was there, and was verified by PIN, finger or face


class SignOffs:
    """Every decision that a passkey signed, proved from the entries before it and the workers' key alone."""

    def __init__(self, workers: "tuple[bytes, ...]") -> None:
        self.workers, self.whole = workers, False
        self.trusted: dict[str, Entry] = {}
        self.revoked: dict[str, int] = {}
        self.demands: dict[str, bool] = {}  # stage -> whether policy demanded a passkey there
        self.people: set[str] = set()  # whose passkeys proved something
        self.vouching: dict[str, str] = {}  # proved approvals that stand: sign-off -> person
        self.faults: list[str] = []
        self.open: list[str] = []
        self.proved = self.plain = 0

    def see(self, index: int, entry: Entry, _: bytes) -> None:
        kinds: dict[str, Callable[[Entry], object]] = {
            "chain.opened": self._opened,
            "passkey.trusted": self._trusted,
            "passkey.revoked": lambda entry: self._revoked(index, entry),
            "sign_off.given": self._given,
            "sign_off.withdrawn": lambda entry: self.vouching.pop(entry["stream"], None),
        }
        self.whole |= index == 0
        judge = kinds.get(entry["type"])
        if judge is None:
            return
        try:
            judge(entry)
        except CannotTell as why:
            self.open.append(f"entry {index}: {why}")
        except Altered as fault:
            self.faults.append(f"entry {index}: {fault}")
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            self.faults.append(f"entry {index}: it does not say what entries of its kind say ({error!r})")

    def _opened(self, entry: Entry) -> None:
        for stage in entry["data"]["stages"]:
            if "signature" in stage:
                self.demands[stage["stage"]] = stage["signature"] == "passkey"

    def _trusted(self, entry: Entry) -> None:
        data = entry["data"]
        if data["passkey"] in self.revoked:
            raise Altered("a passkey was trusted after it had been revoked")
        if not self._vouched(data):
            raise Altered("a passkey is said to be trusted, but no key of workers that you trust signed so")
        unproved = [one for one in data["vouched_by"] if self.vouching.get(one) in (None, data["person"])]
        if unproved and not self.whole:
            raise CannotTell("who vouched for a passkey did so before the first entry that is here")
        if unproved or not (data["vouched_by"] or entry["actor"]["kind"] == "system"):
            raise Altered("nobody else, with a passkey of their own, vouched for a passkey")
        self.trusted[data["passkey"]] = data

    def _vouched(self, data: Entry) -> bool:
        if not self.workers:
            raise CannotTell("trust.json names no key of workers, so nothing says which passkeys are trusted")
        scheme, key_id, encoded = data["trust"].split(":")
        message = b"countersign/%b/v1\0" % b"trust" + canonical({name: data[name] for name in VOUCHED})
        return scheme == "ed25519" and any(
            hashlib.sha256(key).hexdigest()[:16] == key_id
            and signature_holds(key, message, unbase64(encoded))
            for key in self.workers
        )

    def _revoked(self, index: int, entry: Entry) -> None:
        self.trusted.pop(entry["data"]["passkey"], None)
        self.revoked[entry["data"]["passkey"]] = index

    def _given(self, entry: Entry) -> None:
        data = entry["data"]
        signed = data.get("passkey")
        if signed is None:
            self._without(data)
            return
        if signed["passkey"] in self.revoked:
            raise Altered(f"its passkey had been revoked by entry {self.revoked[signed['passkey']]}")
        key = self.trusted.get(signed["passkey"])
        if key is None and not self.whole:
            raise CannotTell("its passkey was trusted before the first entry that is here, or never")
        if key is None:
            raise Altered("it is signed with a passkey for which nobody vouched")
        if any(key[name] != signed[name] for name in ("credential", "public_key", "rp")):
            raise Altered("it is signed with another key than the one that was trusted")
        if (key["person"], key["account"]) != (data["person"], entry["actor"]["id"]):
            raise Altered("it is signed with a passkey of somebody else")
        check_assertion(data, signed)
        self.proved += 1
        self.people.add(data["person"])
        if data["decision"] in APPROVING:
            self.vouching[entry["stream"]] = data["person"]

    def _without(self, data: Entry) -> None:
        demanded = self.demands.get(data["stage"])
        if data["decision"] in APPROVING and demanded:
            raise Altered("policy demanded a passkey for this approval, and it has none")
        if data["decision"] in APPROVING and demanded is None:
            raise CannotTell("the entries here do not say whether policy demanded a passkey for it")
        self.plain += 1

    def conclude(self) -> str:
        """What was found; the worst decides."""
        for one in [*self.faults, *self.open][:20]:
            print(f"- {one}")
        if self.faults:
            raise Altered(
                f"{len(self.faults)} sign-offs or passkeys do not hold; the first is {self.faults[0]}"
            )
        if self.open:
            raise CannotTell(f"{len(self.open)} sign-offs or passkeys; the first is {self.open[0]}")
        proved = f"{self.proved} sign-offs are proved by passkeys of {len(self.people)} people."
        return f"{proved} {self.plain} have none, and none of these needed one."


def check_assertion(data: Entry, signed: "dict[str, Any]") -> None:
    """That the device signed exactly this decision, its person verified (WebAuthn section 7.2)."""
    stated = {name: data[name] for name in STATED} | {name: signed[name] for name in ("change", "revision")}
    challenge = hashlib.sha256(b"countersign/sign-off/v1\0" + canonical(stated)).digest()
    client, device = unbase64url(signed["client_data"]), unbase64url(signed["authenticator_data"])
    told = json.loads(client.decode("utf-8"))
    if told["type"] != "webauthn.get" or unbase64url(told["challenge"]) != challenge:
        raise Altered("its passkey signed something else than this decision")
    host = urlsplit(told["origin"]).hostname or ""
    if host != signed["rp"] and not host.endswith(f".{signed['rp']}"):
        raise Altered("its passkey signed on a page of another host")
    if len(device) < 37 or device[:32] != hashlib.sha256(signed["rp"].encode()).digest():
        raise Altered("its passkey signed for another host")
    if device[32] & PERSON_VERIFIED != PERSON_VERIFIED:
        raise Altered("its passkey did not verify who held it")
    message = device + hashlib.sha256(client).digest()
    if not device_signed(unbase64url(signed["public_key"]), message, unbase64url(signed["signature"])):
        raise Altered("the signature of its passkey does not hold")


# --- a population: rows that are said to come from entries -----------------------------------------------------

COLUMNS = (
    "index", "time", "kind", "subject", "actor", "actor_name", "actor_kind", "auth", "stream",
    "stream_version", "leaf_hash", "data",
)  # fmt: skip
WITH_TEXTS = (*COLUMNS, "texts")
LINE = {"index": int, "leaf_hash": str, "entry": dict, "actor_name": str, "texts": dict}
MANIFEST = {
    "v": 1, "of": str, "instance": str, "software": str, "checkpoint": str, "size": int, "query": str,
    "query_digest": str, "made_at": str, "made_by": str, "verify": str, "files": list, "rows": int,
    "min_index": (int, type(None)), "max_index": (int, type(None)), "totals": dict, "digest": str,
}  # fmt: skip
OF_TESTS = {
    **MANIFEST, "root": str, "scope": dict, "framework": (str, type(None)), "report_digest": str, "controls": list,
}  # fmt: skip
OF_CONTROL = {"id": str, "version": int, "definition": str, "result": str, "population": int, "counts": dict}
LISTS = ("entries.csv", "entries.jsonl")
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
MOST_OF_LINE = 2**24


def read_manifest(path: Path) -> "dict[str, Any]":
    """The manifest, its own digest and those of the files beside it checked; CannotTell for another kind."""
    said = read_json(read_bytes(path), by_hand=True)
    if not isinstance(said, dict) or said.get("v") != 1 or said.get("of") not in ("entries", "control tests"):
        raise CannotTell("this is not a manifest of version 1")
    fit(said, MANIFEST if said["of"] == "entries" else OF_TESTS)
    rest = {name: value for name, value in said.items() if name != "digest"}
    if f"sha256:{hashlib.sha256(sorted_out(rest)).hexdigest()}" != said["digest"]:
        raise Altered("the manifest was changed: its digest does not fit")
    if f"sha256:{hashlib.sha256(said['query'].encode()).hexdigest()}" != said["query_digest"]:
        raise Altered("the query of the manifest is not the one of its digest")
    for told in said["files"]:
        fit(told, {"name": str, "sha256": str, "rows": (int, type(None))})
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,60}\.(csv|jsonl|xlsx)|README\.txt", told["name"], re.ASCII):
            raise Altered("the manifest names a file that is not beside it")
        if sha256_of(path.parent / told["name"]) != told["sha256"]:
            raise Altered(f"{told['name']} is not the file that the manifest was made for")
    return said


def sorted_out(value: Any) -> bytes:
    """Canonical bytes of what people may write: every key in its place."""

    def inner(one: Any) -> Any:
        if isinstance(one, dict):
            order = sorted(one, key=lambda key: key.encode("utf-16-be", "surrogatepass"))
            return {key: inner(one[key]) for key in order}
        return [inner(part) for part in one] if isinstance(one, list) else one

    return written(inner(value))


def sha256_of(path: Path) -> str:
    seen = hashlib.sha256()
    with open_file(path) as file:
        while piece := file.read(PIECE):
            seen.update(piece)
    return seen.hexdigest()


def read_csv(path: Path) -> Iterator["list[str]"]:
    """Its rows, the header first."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            yield from csv.reader(file, strict=True)
    except (OSError, ValueError, csv.Error) as error:
        raise CannotTell(f"{path} is not a CSV that this program reads: {error}") from error


class Listed:
    """What a manifest and its files say, whichever list they are; and whether the log tells that it was made."""

    def __init__(self, said: "dict[str, Any]") -> None:
        self.manifest = said
        self.totals: dict[str, int] = {}
        self.first: int | None = None
        self.last: int | None = None
        self.count = 0
        self.told = False

    def add(self, index: "int | None", kind: str) -> None:
        self.totals[kind] = self.totals.get(kind, 0) + 1
        self.count += 1
        if index is not None:
            self.first = index if self.first is None else min(self.first, index)
            self.last = index if self.last is None else max(self.last, index)

    def made(self, entry: Entry) -> None:
        """Whether this entry tells that the list was made: it names the digest of the manifest."""
        names = {"export.created": "manifest", "population.created": "digest"}
        name = names.get(entry["type"], "")
        self.told |= bool(name) and entry["data"].get(name) == self.manifest["digest"]

    def compare(self) -> None:
        """The manifest against what was counted."""
        if (self.manifest["min_index"], self.manifest["max_index"]) != (self.first, self.last):
            raise Altered("the rows do not reach from the first to the last entry that the manifest names")
        if self.manifest["rows"] != self.count:
            raise Altered(f"there are {self.count} rows, but the manifest counts another number")
        if self.manifest["totals"] != self.totals:
            raise Altered("the control totals of the manifest are not those of the rows")

    def under(self, trust: Trust) -> Head:
        """Its checkpoint, which the manifest must name rightly."""
        head = read_checkpoint(self.manifest["checkpoint"], trust)
        root_of = self.manifest.get("root", head.root.hex())
        if (head.size, head.root.hex()) != (self.manifest["size"], root_of):
            raise Altered("the manifest names another size or root than its checkpoint")
        return head

    def unsure(self) -> "list[str]":
        """Whoever changes a list can write it a manifest; only the log tells that this one was made."""
        made = [] if self.told else ["whether the server made this list: no entry here tells of its manifest"]
        return [*made, *self.unread()]

    def unread(self) -> "list[str]":
        """What no log can tell of it."""
        return ["the names of people: the log holds none"]


class Population(Listed):
    """A list of entries: each row is looked for among the entries as they pass, or counted without them."""

    def __init__(self, path: Path, said: "dict[str, Any]") -> None:
        super().__init__(said)
        if [told["name"] for told in said["files"]] not in [[one] for one in LISTS]:
            raise CannotTell("this program reads lists of one file, entries.csv or entries.jsonl")
        self.file = path.parent / said["files"][0]["name"]
        self.rows = self._lines() if self.file.suffix == ".jsonl" else self._rows()
        self.due = next(self.rows, None)
        self.unproved = 0  # texts of the list that the bundle does not open

    def _rows(self) -> "Iterator[tuple[str, str, Any]]":
        """Index, kind, and the row as it is."""
        rows = read_csv(self.file)
        if tuple(next(rows, ())) != WITH_TEXTS:
            raise CannotTell(f"{self.file} has not the columns that this program reads")
        for row in rows:
            index, _, kind, *_ = [*row, "", "", ""]
            yield index, kind, row

    def _lines(self) -> "Iterator[tuple[str, str, Any]]":
        with open_file(self.file) as file:
            for line in read_lines(file, most=MOST_OF_LINE):
                told = read_json(line)
                fit(told, LINE)
                yield str(told["index"]), str(told["entry"].get("type")), told

    def see(self, index: int, entry: Entry, value: bytes, texts: "dict[str, str]") -> None:
        self.made(entry)
        if self.due is None or self.due[0] != str(index):
            return
        row = self.due[2]
        if isinstance(row, dict):
            same = (row["entry"], row["leaf_hash"]) == (entry, value.hex())
            told = row["texts"]
        else:
            same = self._same(index, entry, value, row)
            told = read_json(row[-1].encode()) if same and row[-1] else {}
        if not same:
            raise Altered(f"the row of entry {index} does not say what the entry says")
        self._compare_texts(index, told, entry.get("sd", {}), texts)
        self.add(index, entry["type"])
        self.due = next(self.rows, None)

    def _same(self, index: int, entry: Entry, value: bytes, row: "list[str]") -> bool:
        """But for the name, which no entry holds, and the texts."""
        actor = entry["actor"]
        expected = [
            index, entry["time"], entry["type"], entry["subject"], actor["id"], None, actor["kind"],
            actor["auth"], entry["stream"], entry["stream_version"], value.hex(), written(entry["data"]).decode(),
        ]  # fmt: skip
        shown = [f"'{text}" if text.startswith(FORMULA) else text for text in map(str, expected)]
        names = [name for name, *pair in zip(COLUMNS, shown, row) if pair[0] != pair[1]]  # noqa: B905
        return len(row) == len(WITH_TEXTS) and not [name for name in names if name != "actor_name"]

    def _compare_texts(
        self, index: int, told: Any, commits: "dict[str, str]", texts: "dict[str, str]"
    ) -> None:
        """Null is an erased text; another must be the one that the bundle opens."""
        if not isinstance(told, dict) or set(told) != set(commits):
            raise Altered(f"the row of entry {index} has texts of another entry")
        shown = {path: text for path, text in told.items() if text is not None}
        if any(text != texts[path] for path, text in shown.items() if path in texts):
            raise Altered(f"the row of entry {index} has another text than the entry committed to")
        self.unproved += len(set(shown) - set(texts))

    def alone(self) -> str:
        """Count the rows, without the entries."""
        while self.due is not None:
            index, kind, _ = self.due
            if not is_number(index) or (self.last is not None and int(index) <= self.last):
                raise Altered(
                    f"the row that begins with {index!a:.40} is of no entry, or is not in its place"
                )
            self.add(int(index), kind)
            self.due = next(self.rows, None)
        return f"{self.conclude()}; the files, their rows and totals are those of the manifest."

    def conclude(self) -> str:
        if self.due is not None:
            raise Altered(
                f"the row that begins with {self.due[0]!a:.40} is of no entry, or is not in its place"
            )
        self.compare()
        if self.manifest["files"][0]["rows"] != self.count:
            raise Altered(f"there are {self.count} rows, but the manifest counts another number")
        return f"{self.count} rows"


class Tests(Listed):
    """What control tests found, as tables: counted anew, each total and verdict recomputed from the rows."""

    def __init__(self, path: Path, said: "dict[str, Any]") -> None:
        super().__init__(said)
        self.folder = path.parent
        self.files = {told["name"]: told["rows"] for told in said["files"]}
        self.executions = 0
        self.starts: dict[int, tuple[str, str]] = {}  # of each not yet met: place, run and time
        for one in said["controls"]:
            fit(one, OF_CONTROL)

    def unread(self) -> "list[str]":
        book = ["the workbook, which this program does not read"] if "results.xlsx" in self.files else []
        return ["the judgements themselves: whether each result follows from the log", *book]

    def alone(self) -> str:
        if "population.csv" not in self.files:
            return "the files are those of the manifest."
        self._population()
        self.compare()
        found = self._results()
        for told in self.manifest["controls"]:
            counts = found.pop(told["id"], {})
            expected = {name: number for name, number in told["counts"].items() if number}
            if (counts, sum(counts.values())) != (expected, told["population"]) or told["result"] != verdict(
                counts
            ):
                raise Altered(f"what the rows say of {told['id']} is not what the manifest says")
        if found:
            raise Altered("there are results of control tests that the manifest does not name")
        named = f"{self.count} items and the results of {len(self.manifest['controls'])} control tests"
        return f"{named}; the files, their rows, totals and verdicts are those of the manifest."

    def _counted(self, name: str, rows: "Iterator[Any]", heads: int = 0) -> "Iterator[Any]":
        """The rows; as many as the manifest says."""
        count = -heads
        for row in rows:
            count += 1
            yield row
        if count != self.files[name]:
            raise Altered(f"{name} has {count} rows, but the manifest counts another number")

    def _table(self, name: str) -> "Iterator[dict[str, str]]":
        rows = self._counted(name, read_csv(self.folder / name), heads=1)
        header: list[str] = next(rows, [])
        for row in rows:
            if len(row) != len(header):
                raise Altered(f"a row of {name} has other columns than its header")
            yield dict(zip(header, row))  # noqa: B905

    def _population(self) -> None:
        for number, row in enumerate(self._table("population.csv"), start=1):
            index = row.get("index", "")
            if row.get("no") != str(number) or (index and not is_number(index)):
                raise Altered(f"item {number} of the population is missing, or is not in its place")
            self.add(int(index) if index else None, row.get("kind", ""))
            if row.get("kind") == "execution":
                self.executions += 1
                self.starts[int(index or 0)] = row.get("item", ""), row.get("at", "")
        if len(self.starts) != self.executions:
            raise Altered("two executions of the list began at one entry")

    def _results(self) -> "dict[str, dict[str, int]]":
        """How many of each result, by control test; the CSV and the raw lines say the same."""
        found: dict[str, dict[str, int]] = {}
        exceptions = self._table("exceptions.csv")
        with open_file(self.folder / "results.jsonl") as file:
            raw = self._counted("results.jsonl", read_lines(file, most=MOST_OF_LINE))
            for row in self._table("results.csv"):
                told = read_json(next(raw, b"{}"))
                same = all(
                    row.get(name) == str(told.get(name)) for name in ("control", "version", "no", "result")
                )
                if not same or not 0 < int(row["no"]) <= self.count:
                    raise Altered("results.csv and results.jsonl say different things, or name no item")
                counts = found.setdefault(row["control"], {})
                counts[row["result"]] = counts.get(row["result"], 0) + 1
                if row["result"] not in ("pass", "na") and next(exceptions, None) != row:
                    raise Altered("exceptions.csv leaves out what did not pass")
            if next(raw, None) is not None or next(exceptions, None) is not None:
                raise Altered("there are more results in one file than in another")
        return found

    def see(self, index: int, entry: Entry, value: bytes, texts: "dict[str, str]") -> None:
        self.made(entry)
        run, at = self.starts.pop(index, ("", ""))
        if run and (entry["data"].get("run"), entry["time"]) != (run, at):
            raise Altered(f"{run!a:.40} did not begin at entry {index}, which tells of something else")

    def conclude(self) -> str:
        if self.starts:
            raise Altered(f"the log has no entry {min(self.starts)}, at which an execution of the list began")
        return f"each of the {self.executions} executions of the list began at the entry that it names."


def verdict(counts: "dict[str, int]") -> str:
    """The result of a control test: nothing tested is never a success."""
    if counts.get("fail") or counts.get("indeterminate"):
        return "not_effective"
    if counts.get("exception"):
        return "effective_with_exceptions"
    return "effective" if counts.get("pass") else "not_tested"


# --- a sample that came along with a bundle ------------------------------------------------------------------

SAMPLE = "sample.json"
MOST_ITEMS = 10_000_000  # of a population, from which this program draws
ABOUT_SAMPLE = {"v": 1, "sample": str, "control": str, "checkpoint": str, "indexes": list}
ASKED = {"sample": str, "control": str, "definition": str, "wanted": int, "scope": dict, "commitment": str}
DRAWN = {
    "sample": str, "control": str, "definition": str, "size": int, "root": str, "nonce": str, "seed": str,
    "population": int, "population_digest": str, "places": list, "indexes": list,
}  # fmt: skip


class Sample:
    """Draws it again as its entries tell, and holds the proof of each item against the newest checkpoint."""

    def __init__(self, bundle: Bundle, trust: Trust, newest: Head) -> None:
        self.newest, self.drawn, self.population = newest, False, 0
        self.asked: Any = None  # where it was asked for, and how
        self.about: dict[str, Any] = {"indexes": []}
        self.heads: list[Head] = []  # the checkpoint that it was drawn with: the log must have had it
        self.proofs: dict[int, list[bytes]] = {}
        if SAMPLE in bundle.members:
            self.about = read_json(bundle.read(SAMPLE))
            fit(self.about, ABOUT_SAMPLE)
            if any(type(one) not in (int, type(None)) for one in self.about["indexes"]):
                raise Altered(f"{SAMPLE} names something that is no entry")
            self.heads.append(read_checkpoint(self.about["checkpoint"], trust))
        indexes = sorted({one for one in self.about["indexes"] if one is not None})
        self.names = [f"proofs/{one}.tlog-proof" for one in indexes]
        for index, name in zip(indexes, self.names):  # noqa: B905
            if name not in bundle.members:
                raise CannotTell(f"the bundle has no {name}, the proof of an item of its sample")
            number, self.proofs[index], note = read_proof(decoded(bundle.read(name), name))
            if (number, read_checkpoint(note, trust)) != (index, newest):
                raise Altered(f"{name} is of another entry or checkpoint")

    @property
    def members(self) -> "list[str]":
        return [SAMPLE, *self.names] if self.heads else []

    def see(self, index: int, entry: Entry, value: bytes) -> None:
        path = self.proofs.pop(index, None)
        if path is not None and root_by_path(value, index, self.newest.size, path) != self.newest.root:
            raise Altered(f"proofs/{index}.tlog-proof does not lead from its entry to the checkpoint")
        data = entry["data"]
        if not self.heads or data.get("sample") != self.about["sample"]:
            return
        if entry["type"] == "sample.asked" and self.asked is None:
            fit(data, ASKED)
            self.asked = index, data
        elif entry["type"] == "sample.drawn":
            fit(data, DRAWN)
            self._draw_again(data)

    def _draw_again(self, data: Entry) -> None:
        if self.asked is None or self.drawn:
            raise Altered("the sample was drawn before it was asked for, or twice")
        (index, asked), [head] = self.asked, self.heads
        if (data["size"], data["root"]) != (head.size, head.root.hex()) or head.size <= index:
            raise Altered("the sample was drawn with another checkpoint than the one that came along")
        nonce = data["nonce"].encode()
        if hashlib.sha256(nonce).hexdigest() != asked["commitment"]:
            raise Altered("the sample was drawn with another nonce than the one that was fixed")
        if data["population"] > MOST_ITEMS:
            raise CannotTell(f"the sample is of more than {MOST_ITEMS} items")
        seed = hashlib.sha256(head.root + asked["control"].encode() + nonce).digest()
        ranks = sorted(
            (hashlib.sha256(seed + struct.pack(">Q", one)).digest(), one) for one in range(data["population"])
        )
        places = sorted(one for _, one in ranks[: asked["wanted"]])
        if (data["seed"], data["places"], data["control"]) != (seed.hex(), places, asked["control"]):
            raise Altered("other items were drawn than the root and the nonce decide")
        if (self.about["indexes"], self.about["control"]) != (data["indexes"], data["control"]):
            raise Altered(f"{SAMPLE} names other items than were drawn")
        self.drawn, self.population = True, data["population"]

    def conclude(self, heads: "list[Head]") -> Answer:
        if not self.heads:
            return [], []
        if not self.drawn or self.proofs:
            raise CannotTell("the bundle leaves out entries of its sample")
        [head], (index, asked) = self.heads, self.asked
        if any(index < one.size < head.size for one in heads):
            raise Altered("the sample was drawn with a later checkpoint than the first over its request")
        drawn = f"{len(self.about['indexes'])} of {self.population} items"
        said = f"the sample of {asked['control']}: anybody draws the same {drawn}, and the log holds the entry of each."
        first = min(one.size for one in heads) <= index + 1
        unsure = [] if first else ["whether the sample was drawn with the first checkpoint over its request"]
        return [said], [
            *unsure,
            "the population of the sample: compute it with the rules of the control test",
        ]


# --- what is asked -------------------------------------------------------------------------------------------


def check_bundle(args: argparse.Namespace) -> Answer:
    """A bundle: every byte of the zip, every entry, every tile, every root, every signature."""
    return walk(args, [])[1]


def check_signoffs(args: argparse.Namespace) -> Answer:
    """The bundle, and in it each decision that a passkey signed."""
    signoffs = SignOffs(read_trust(args).workers)
    _, (verified, unchecked) = walk(args, [signoffs.see])
    unchecked += [
        "the sign-offs without a passkey: they rest on the server's word",
        "what those saw who vouched for a passkey, and who did so at a terminal",
    ]
    return [*verified, signoffs.conclude()], unchecked


def check_population(args: argparse.Namespace) -> Answer:
    """The files of a manifest, counted anew; with a bundle, each row against its entry."""
    known, pinned = args.trust or args.key, args.state or args.pinned
    if (args.file and not known) or (pinned and not args.file):
        arguments().error("--bundle needs --trust or --key; --state and --pinned need --bundle")
    said = read_manifest(args.manifest)
    listed = (Population if said["of"] == "entries" else Tests)(args.manifest, said)
    tables = isinstance(listed, Tests)
    counted = [listed.alone()] if tables or not args.file else []
    if args.file:
        verified, unchecked = _against(args, listed)
    else:
        verified, unchecked = _under(args, listed) if known else ([], ["its checkpoint: give --trust"])
        unchecked.append("whether the log says what the rows say: give --bundle")
    return [*counted, *verified], [*unchecked, *listed.unsure()]


def _under(args: argparse.Namespace, listed: "Population | Tests") -> Answer:
    """The checkpoint that the manifest names, without the log."""
    keys = kept_keys(args)
    signed = listed.under(keys.trust)
    learned, passed = keys.conclude()
    said = f"the list names the checkpoint of {signed.size} entries that {keys.trust.origin} signed."
    return [said, *learned], passed


def _against(args: argparse.Namespace, listed: "Population | Tests") -> Answer:
    """The bundle, and in it what the rows name."""
    about, (verified, unchecked) = walk(args, [], listed)
    if isinstance(listed, Tests):
        complete = ["whether more items lie in this period than are listed"]
        began = [listed.conclude()] if "population.csv" in listed.files else []
        return [*verified, *began], [*unchecked, *complete]
    verified.append(f"each of the {listed.conclude()} says what its entry says, and the totals fit.")
    if listed.unproved:
        unchecked.append(f"{listed.unproved} texts of the list, which the bundle does not open")
    everything, size = not listed.manifest["query"] and about["first"] == 0, listed.manifest["size"]
    if everything and listed.manifest["rows"] != size:
        raise Altered(f"the list is said to be of everything, but the checkpoint signed {size} entries")
    complete = [] if everything else ["whether more entries fit the query than are listed"]
    return verified, [*unchecked, *complete]


def read_about(bundle: Bundle) -> "dict[str, Any]":
    """What the bundle says about itself: which entries of the log it holds."""
    about: dict[str, Any] = read_json(bundle.read("bundle.json"))
    if not isinstance(about, dict) or about.get("v") != 1:
        raise CannotTell("this is not a bundle of version 1")
    fit(about, {"v": 1, "origin": str, "size": int, "first": int, "end": int, "from": str, "to": str})
    if not 0 <= about["first"] <= about["end"] <= about["size"]:
        raise Altered("the bundle does not say which entries it holds")
    if (about["first"] and not about["from"]) or (about["end"] < about["size"] and not about["to"]):
        raise Altered("entries are left out that the period of the bundle would hold")
    return about


def walk(
    args: argparse.Namespace, see: "list[See]", population: "Population | Tests | None" = None
) -> "tuple[dict[str, Any], Answer]":
    """Check the whole bundle, showing each entry on the way; also answers what the bundle says about itself."""
    keys, bundle = kept_keys(args), Bundle(args.file)
    steps = take_files(keys, bundle.members, bundle.read)
    trust, kept = keys.trust, list(keys.heads)
    openings = bundle.openings()
    see = [openings.see, *see]
    if population is not None:
        rows = population
        see.append(lambda index, entry, value: rows.see(index, entry, value, openings.texts))
        kept.append(rows.under(trust))
    about, notes = read_about(bundle), split_notes(bundle.read("checkpoints.txt"))
    heads = [read_checkpoint(note, trust) for note in notes]
    size, count = max(head.size for head in heads), about["end"] - about["first"]
    sample = Sample(bundle, trust, max(heads))
    see += [sample.see] if sample.heads else []
    if (about["origin"], about["size"]) != (trust.origin, size):
        raise Altered("the bundle is of another log or size than its newest checkpoint")
    stamped, (stamps, unsigned) = stamps_of(bundle.members, bundle.read, trust)
    pairs = [f"timestamps/{head.size}.{end}" for head in stamped for end in ("note", "tsr")]
    if list(bundle.members) != bundle.expected(size, [*sample.members, *steps, *pairs]):
        raise Altered("the bundle does not hold exactly the tiles of its log")
    outside = outside_heads(args, trust)
    check_tree(compare(bundle, about, see), [*heads, *stamped, *outside, *sample.heads, *kept])
    note = notes[heads.index(max(heads))]
    texts, unread = openings.conclude()
    (seen, unseen), (learned, passed) = witnessed(note, trust), keys.conclude()
    drawn, undrawn = sample.conclude(heads)
    unchecked = unsigned + conclude(args, keys, note, size, outside) + unread + unseen + passed + undrawn
    unchecked.append("README.txt and trust.json in the bundle, which nobody signed")
    if bundle.read("countersign-verify.py") != Path(__file__).read_bytes():
        unchecked.append("the program in the bundle, which is not the one that you run")
    if count < size:
        others = f"what the {size - count} entries say that the bundle leaves out"
        unchecked += [others, "whether these are all entries of the period that was asked for"]
    said = f"{count} entries of a log of {size}, {len(heads)} checkpoints, signed by {trust.origin}."
    return about, ([said, *learned, *seen, *texts, *stamps, *drawn], unchecked)


def compare(bundle: Bundle, about: "dict[str, Any]", see: "list[See]") -> Iterator[bytes]:
    """The leaves of the tiles; each entry that is there must be the one at its place."""
    entries = check_entries(bundle.lines("entries.jsonl"), about["first"], see)
    for index, value in enumerate(tile_hashes(bundle, about["size"])):
        if about["first"] <= index < about["end"] and next(entries, None) != value:
            raise Altered(f"entry {index} is missing, or is not the one that was sealed there")
        yield value
    if next(entries, None) is not None:
        raise Altered("the bundle holds more entries than it says")


def kept_keys(args: argparse.Namespace) -> Keys:
    """What is pinned, and the steps from there that the auditor has seen before, or that came in a file."""
    keys = Keys(read_trust(args))
    args.seen = None
    if getattr(args, "state", None) is not None and args.state.exists():
        args.seen = said = read_json(read_bytes(args.state))
        old = isinstance(said, dict) and said.get("v") == 1
        fit(said, {"v": 1, "checkpoint": str} if old else {"v": 2, "checkpoint": str, "keys": list})
        keys.take(str(one).encode() for one in said.get("keys", ()))
    if getattr(args, "keys", None) is not None:
        with open_file(args.keys) as file:
            keys.take(read_lines(file, None, MAX_OPENING))
    return keys


def take_files(keys: Keys, names: Iterable[str], read: "Callable[[str], bytes]") -> "list[str]":
    """Follow the steps that came in files of their own; these names, in order."""
    places = sorted(int(match[1]) for name in names if (match := STEP.fullmatch(name)))
    files = [f"keys/{place}.json" for place in places]
    if keys.take(map(read, files)) != places:
        raise Altered("a step from one key to another is not in its place")
    return files


def outside_heads(args: argparse.Namespace, trust: Trust) -> "list[Head]":
    """The checkpoints that the auditor kept: these the log cannot deny."""
    heads = [read_checkpoint(read_text(path), trust) for path in getattr(args, "pinned", None) or []]
    if args.seen is not None:
        heads.append(read_checkpoint(args.seen["checkpoint"], trust))
    return heads


def conclude(
    args: argparse.Namespace, keys: Keys, note: str, size: int, outside: "list[Head]"
) -> "list[str]":
    """Hold the newest head against the minimum, have it remembered, and say what stays open."""
    minimum = keys.trust.minimum
    if size < minimum:
        raise CannotTell(
            f"the log has {size} entries here, but had {minimum} when you pinned it: this is older, or was cut"
        )
    args.remember = canonical({"v": 2, "checkpoint": note, "keys": keys.taken})
    open_ends = [] if outside else ["whether the whole log was exchanged: give --pinned or --state"]
    if args.state is None:
        open_ends.append("whether a newer log that you saw earlier was rolled back: give --state")
    return [
        *open_ends, "whether acts happened that were never recorded", "whether each person acted themselves"
    ]  # fmt: skip


def check_export(args: argparse.Namespace) -> Answer:
    """An exported ledger: every entry, every root, every signature."""
    keys, notes = kept_keys(args), split_notes(read_bytes(args.folder / "checkpoints.txt"))
    names = [f"{one.parent.name}/{one.name}" for one in sorted(args.folder.glob("*/*"))]
    take_files(keys, names, lambda name: read_bytes(args.folder / name))
    trust = keys.trust
    heads = [read_checkpoint(note, trust) for note in notes]
    outside = outside_heads(args, trust)
    stamped, (stamps, unsigned) = stamps_of(names, lambda name: read_bytes(args.folder / name), trust)
    openings = Openings(read_texts(args.folder / TEXTS))
    with open_file(args.folder / "entries.jsonl") as file:
        entries = check_entries(read_lines(file), 0, [openings.see])
        size = check_tree(entries, [*heads, *stamped, *outside, *keys.heads])
    note = notes[heads.index(max(heads))]
    texts, unread = openings.conclude()
    (seen, unseen), (learned, passed) = witnessed(note, trust), keys.conclude()
    unchecked = unsigned + conclude(args, keys, note, size, outside) + unread + unseen + passed
    said = f"{size} entries and {len(heads)} checkpoints fit each other and the key of {trust.origin}."
    return [said, *learned, *seen, *texts, *stamps], unchecked


def read_texts(path: Path) -> "Iterator[bytes]":
    """The lines of the texts of an export; none where none were handed out."""
    if path.exists():
        with open_file(path) as file:
            yield from read_lines(file, None, MAX_OPENING)


def check_archive(args: argparse.Namespace) -> Answer:
    """An archive: every manifest, every file, every entry, every tile, every root, every signature."""
    keys, archive = kept_keys(args), Archive(args.folder)
    take_files(keys, archive.digests, archive.read)
    trust = keys.trust
    notes = [one["checkpoint"] for one in archive.manifests]
    heads, outside = [read_checkpoint(note, trust) for note in notes], outside_heads(args, trust)
    for head, one in zip(heads, archive.manifests):  # noqa: B905
        if (one["size"], one["origin"]) != (head.size, trust.origin):
            raise Altered(f"the manifest of {one['size']} entries has the checkpoint of another log or size")
    stamped, (stamps, unsigned) = stamps_of(archive.digests, archive.read, trust)
    openings = Openings([])  # an archive holds none: what is in it can never be erased
    check_tree(
        same(archive, check_entries(archive.bodies(), 0, [openings.see])),
        [*heads, *stamped, *outside, *keys.heads],
    )
    for name in archive.digests:
        archive.read(name)
    (seen, unseen), (learned, passed) = witnessed(notes[0], trust), keys.conclude()
    unchecked = unsigned + conclude(args, keys, notes[0], archive.size, outside) + openings.conclude()[1]
    unchecked += unseen + passed
    unchecked.append("whether anything newer was archived, and what lies there that no manifest names")
    files = f"{len(archive.digests)} files of {len(heads)} manifests"
    said = f"{archive.size} entries in {files}, signed by {trust.origin}."
    return [said, *learned, *seen, *stamps], unchecked


def same(archive: Archive, entries: Iterator[bytes]) -> Iterator[bytes]:
    """The leaves of the tiles, each that of the entry at its place."""
    for index, value in enumerate(tile_hashes(archive, archive.size)):
        if next(entries, None) != value:
            raise Altered(f"entry {index} is missing, or is not the one that was sealed there")
        yield value
    if next(entries, None) is not None:
        raise Altered("the archive holds more entries than its checkpoint signed")


class Mirror:
    """A folder with what the log shows to everybody: checkpoint, keys and tiles, under the names of their addresses."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, name: str) -> bytes:
        return read_bytes(self.folder / name)


def check_tiles(args: argparse.Namespace) -> Answer:
    """The log as a monitor reads it: every tile, every root, the signature, the steps from key to key."""
    keys, note, mirror = kept_keys(args), read_text(args.folder / "checkpoint"), Mirror(args.folder)
    if (args.folder / "keys").exists():
        with open_file(args.folder / "keys") as file:
            keys.take(read_lines(file, None, MAX_OPENING))
    head = read_checkpoint(note, keys.trust)
    wanted = [
        name
        for name in itertools.starmap(tile_name, tiles_of(head.size))
        if not (args.folder / name).exists()
    ]
    if wanted:
        print("\n".join(f"- {name}" for name in wanted))
        raise CannotTell(f"{len(wanted)} tiles are missing, the first is {wanted[0]}")
    outside = outside_heads(args, keys.trust)
    check_tree(tile_hashes(mirror, head.size), [head, *outside, *keys.heads])
    (seen, unseen), (learned, passed) = witnessed(note, keys.trust), keys.conclude()
    unchecked = ["what the entries say, of which these are the hashes", *unseen, *passed]
    unchecked += conclude(args, keys, note, head.size, outside)
    said = f"the hashes of {head.size} entries are those that {keys.trust.origin} signed."
    return [said, *learned, *seen], unchecked


def check_proof(args: argparse.Namespace) -> Answer:
    """One entry under one checkpoint."""
    keys = kept_keys(args)
    trust, (index, path, note) = keys.trust, read_proof(read_text(args.proof))
    body = read_bytes(args.entry, MAX_ENTRY)
    read_entry(body)
    signed = proved(body, index, path, read_checkpoint(note, trust))
    (seen, unseen), (learned, passed) = witnessed(note, trust), keys.conclude()
    said = f"this is entry {index} of the {signed.size} that {trust.origin} signed."
    others = ["any other entry", "whether the whole log was exchanged: compare checkpoints with others"]
    return [said, *seen, *learned], [*others, *unseen, *passed]


def check_consistency(args: argparse.Namespace) -> Answer:
    """That an older checkpoint's log is the beginning of a newer one's."""
    keys = kept_keys(args)
    old, new = (read_checkpoint(read_text(one), keys.trust) for one in (args.old, args.new))
    if not 0 < old.size <= new.size:
        raise CannotTell("the older checkpoint must not be empty, nor larger than the newer one")
    text = read_text(args.proof).removesuffix("\n")
    path = [unbase64(line) for line in text.split("\n")] if text else []
    if roots_by_path(old, new.size, path) != (old.root, new.root):
        raise Altered(f"the log of {new.size} entries does not begin with the log of {old.size}")
    said = f"the log grew from {old.size} to {new.size} entries and nothing before was changed."
    learned, passed = keys.conclude()
    return [said, *learned], ["what the entries say", *passed]


def split_notes(data: bytes) -> "list[str]":
    """Notes one after the other: each is a text, an empty line, signature lines and, before the next, an empty line."""
    try:
        parts = data.decode("utf-8").removesuffix("\n").split("\n\n")
    except UnicodeDecodeError as error:
        raise Altered("the checkpoints are not text") from error
    if len(parts) % 2:
        raise CannotTell("there is no checkpoint, or one without its end")
    return [f"{text}\n\n{signatures}\n" for text, signatures in zip(parts[::2], parts[1::2])]  # noqa: B905


def open_file(path: Path) -> Any:
    try:
        return path.open("rb")
    except OSError as error:
        raise CannotTell(f"{path} cannot be read") from error


def read_bytes(path: Path, most: int = MAX_TEXT) -> bytes:
    with open_file(path) as file:
        data: bytes = file.read(most + 1)
    if len(data) > most:
        raise CannotTell(f"{path} is larger than {most} bytes")
    return data


def read_text(path: Path) -> str:
    return decoded(read_bytes(path), str(path))


def decoded(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CannotTell(f"{name} is not text") from error


class Arguments(argparse.ArgumentParser):
    """A parser that exits with 3: 1 and 2 mean something else here."""

    def error(self, message: str) -> Any:
        self.print_usage(sys.stderr)
        self.exit(USAGE, f"{message}\n")


def arguments() -> Arguments:
    parser = Arguments(description="Checks a Countersign ledger, offline.")
    what = parser.add_subparsers(required=True)

    def command(
        name: str, check: Callable[..., Answer], *files: str, says: str, alone: bool = False
    ) -> argparse.ArgumentParser:
        made: argparse.ArgumentParser = what.add_parser(name, help=says)
        for file in files:
            made.add_argument(file, type=Path)
        pinned = made.add_mutually_exclusive_group(required=not alone)
        pinned.add_argument("--trust", type=Path, help="the trust.json that you keep")
        pinned.add_argument("--key", help="the verifier key that you noted earlier")
        made.set_defaults(check=check)
        return made

    whole = [
        command("bundle", check_bundle, "file", says="a bundle, all of it"),
        command("signoffs", check_signoffs, "file", says="a bundle, and the decisions that passkeys signed"),
        command("population", check_population, "manifest", says="a list and its manifest", alone=True),
        command("export", check_export, "folder", says="an exported ledger"),
        command("archive", check_archive, "folder", says="an archive, file by file"),
        command(
            "tiles", check_tiles, "folder", says="checkpoint, keys and tiles, as everybody may read them"
        ),
    ]
    whole[2].add_argument("--bundle", dest="file", type=Path, help="where the entries are; needs --trust")
    for one in whole:
        one.add_argument("--pinned", type=Path, action="append", help="a checkpoint kept elsewhere")
        one.add_argument("--state", type=Path, help="remembers the newest checkpoint for the next time")
    alone = [
        command("proof", check_proof, "entry", "proof", says="one entry and its .tlog-proof"),
        command(
            "consistency", check_consistency, "old", "new", "proof", says="two checkpoints and their proof"
        ),
    ]
    for one in [whole[2], *alone]:
        one.add_argument("--keys", type=Path, help="how the log's keys followed each other: /audit/log/keys")
    return parser


def main(argv: "list[str] | None" = None) -> int:
    args = arguments().parse_args(argv)
    try:
        verified, unchecked = args.check(args)
        if getattr(args, "state", None) is not None:  # for the next time: whole or not at all
            draft = args.state.with_name(f"{args.state.name}.new")
            draft.write_bytes(args.remember)
            draft.replace(args.state)
    except Altered as found:
        print(f"ALTERED: {found}.")
        return ALTERED
    except (CannotTell, OSError) as why:
        print(f"Cannot tell: {why}.")
        return UNKNOWN
    for one in verified:
        print(f"Verified: {one}")
    print("Not checked: " + "; ".join(unchecked) + ".")
    return VERIFIED


if __name__ == "__main__":
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.exit(main())
