"""Holds the log's signing key, alone and in a process of its own, and signs a head only behind what it last signed.

It remembers the size and the root that it signed last in a file of its own, written before a signature leaves it: so it
may forget a signature in a crash, and never a head. It must never sign two heads of which one is not the beginning of
the other, whatever the database says, and never make a second key for a log that has one.
"""

import base64
import fcntl
import json
import logging
import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.ledger.merkle import EMPTY_ROOT, consistent
from audit.ledger.note import ADDED, WORDS, Signer, Verifier, parse_verifier, word

log = logging.getLogger(__name__)

MEMORY = "signed.json"
MOST = 2**63  # entries of a log
MAX_REQUEST = 64 * 1024  # bytes; a proof has 64 hashes at most
TIMEOUT_SECONDS = 5.0  # of whoever connects and says nothing
Message = dict[str, Any]


class Refused(Exception):
    """What was asked for is not signed, or not done: the sentence says why."""


@dataclass(frozen=True)
class Term:
    """A key of the log and the sizes that it signs: from `begin`, before `end`."""

    key: str
    begin: int
    end: int | None = None

    @property
    def verifier(self) -> Verifier:
        return parse_verifier(self.key, self.begin, self.end)


@dataclass(frozen=True)
class Memory:
    """What was signed last, and by which keys what is to be signed."""

    origin: str
    size: int = 0
    root: str = EMPTY_ROOT.hex()
    keys: list[Term] = field(default_factory=list)

    def at(self, size: int) -> list[Verifier]:
        """The keys that sign a log of this size."""
        return [one.verifier for one in self.keys if one.verifier.covers(size)]


class Keeper:
    """The key and the memory of one log, in one folder; the public halves in another, which everybody may read."""

    def __init__(self, folder: Path, published: Path, origin: str) -> None:
        self.folder, self.published = folder, published
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.memory = self._recall(origin)
        self._take_over()
        self._tidy()

    def answer(self, asked: Message) -> Message:
        """To one request; a refusal is an answer, too."""
        doors: dict[str, Callable[..., Message]] = {
            "head": self._head,
            "sign": self._sign,
            "add-key": self._add,
            "vouch": self._vouch,
            "retire-key": self._retire,
        }
        try:
            return doors[asked.pop("do")](**asked)
        except Refused as refusal:
            return {"refused": str(refusal)}
        except (KeyError, TypeError, ValueError) as error:
            return {"refused": f"this is no request that a signer knows: {error}"}

    def forget(self) -> None:
        """Sign whatever comes next, once: for who has restored an old backup and knows what that means."""
        self._remember(size=0, root=EMPTY_ROOT.hex())

    def _head(self) -> Message:
        memory = self.memory
        terms = [asdict(one) for one in memory.keys]
        return {"origin": memory.origin, "size": memory.size, "root": memory.root, "keys": terms}

    def _sign(self, old: int, size: int, root: str, proof: list[str], *, first: bool) -> Message:
        """The note of a head; where the asker is wrong about what was signed last, that size."""
        if type(size) is not int or not 0 <= size < MOST:
            raise Refused("the size of a log is a whole number")
        if old != self.memory.size:
            return {"last": self.memory.size}
        then, now = bytes.fromhex(self.memory.root), bytes.fromhex(root)
        path = [bytes.fromhex(one) for one in proof]
        begins = old == 0 and not path and len(now) == len(EMPTY_ROOT)
        if not begins and not consistent(old, then, size, now, path):
            raise Refused(f"the log of {size} entries does not begin with the {old} that were signed before")
        if not self.memory.keys:
            self._first_key(is_first=first)
        self._remember(size=size, root=now.hex())
        text = f"{self.memory.origin}\n{size}\n{base64.b64encode(now).decode()}\n"
        return {"note": f"{text}\n" + "".join(self._load(one).line(text) for one in self.memory.at(size))}

    def _add(self) -> Message:
        """A second key, which signs beside the first from the next head on."""
        if len(self._in_force()) != 1:
            raise Refused("a log that signs with one key gets a second one; this has none, or two already")
        term = Term(str(self._make().verifier), self.memory.size + 1)
        self._remember(keys=[*self.memory.keys, term])
        return asdict(term)

    def _vouch(self, kind: str) -> Message:
        """The older key's signature that the newer one follows it, or the newer one's that the older signs no more."""
        if kind not in WORDS or len(self._in_force()) != 2:
            raise Refused(
                "only one of two keys vouches for the other, once for its beginning and once for its end"
            )
        old, new = (one.verifier for one in self._in_force())
        by, of = (old, new) if kind == ADDED else (new, old)
        return {"signature": self._load(by).line(word(kind, of)).rsplit(" ", 1)[1].strip()}

    def _retire(self) -> Message:
        """The older of two keys signs no more, and is destroyed."""
        old, *others = self._in_force()
        if not others or others[0].begin > self.memory.size:
            raise Refused("the newer key has signed nothing yet, so the older one stays")
        ended = Term(old.key, old.begin, self.memory.size + 1)
        self._remember(keys=[ended if one == old else one for one in self.memory.keys])
        self._tidy()
        return asdict(ended)

    def _in_force(self) -> list[Term]:
        return [one for one in self.memory.keys if one.end is None]

    def _recall(self, origin: str) -> Memory:
        path = self.folder / MEMORY
        if path.exists():
            said = json.loads(path.read_text())
            memory = Memory(said["origin"], said["size"], said["root"], [Term(**one) for one in said["keys"]])
            if memory.origin != origin:
                raise Refused(f"{path} is of the log {memory.origin}, not of {origin}")
            return memory
        if list(self.folder.glob("*.key")):
            raise Refused(f"{path} is missing, though a key of the log is beside it: restore the file")
        memory = Memory(origin)
        _write(path, memory)
        return memory

    def _remember(self, **changed: Any) -> None:
        """On the disk first: what is not sure to be remembered is not signed."""
        memory = Memory(**{**vars(self.memory), **changed})
        _write(self.folder / MEMORY, memory)
        self.memory = memory
        if "keys" in changed:
            self._publish()

    def _tidy(self) -> None:
        """What a crash left half done: public halves that are not published, the key of a term that has ended."""
        for path in self.folder.glob(".new-*"):
            path.unlink()
        if self.memory.keys:
            self._publish()
        for one in self.memory.keys:
            if one.end is not None:
                self._path(one.verifier).unlink(missing_ok=True)

    def _publish(self) -> None:
        self.published.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        _write(self.published, {"v": 1, "keys": [asdict(one) for one in self.memory.keys]}, mode=0o644)

    def _take_over(self) -> None:
        """The one key of a log without any: of an older installation, or of a crash between key and memory."""
        left = [*sorted(self.folder.glob("*.key")), *self.folder.parent.glob("ledger.key")]
        if left and not self.memory.keys:
            key = Signer(self.memory.origin, _read(left[0]))
            left[0].rename(self._path(key.verifier))
            self._remember(keys=[Term(str(key.verifier), 0)])

    def _first_key(self, *, is_first: bool) -> None:
        """Made for a log that never signed, and for no other: others have pinned the one that it has."""
        if not is_first:
            raise Refused(f"no key is in {self.folder}, but this log has signed checkpoints: restore the key")
        self._remember(keys=[Term(str(self._make().verifier), 0)])

    def _make(self) -> Signer:
        key = Signer(self.memory.origin, Ed25519PrivateKey.generate())
        seed = base64.b64encode(key.key.private_bytes_raw()).decode()
        _replace(self._path(key.verifier), seed + "\n", mode=0o600)
        return key

    def _load(self, key: Verifier) -> Signer:
        return Signer(key.name, _read(self._path(key)))

    def _path(self, key: Verifier) -> Path:
        return self.folder / f"{key.id.hex()}.key"


def serve(keeper: Keeper, path: Path) -> None:
    """Answer one after the other, until this process ends."""
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(path))
        path.chmod(0o660)  # whose group that is, and who enters its folder, is the administrator's choice
        door.listen(16)
        while True:
            client, _ = door.accept()
            with client:
                try:
                    _converse(keeper, client)
                except (
                    OSError,
                    ValueError,
                    TypeError,
                ) as error:  # gone, slow, or no JSON; or the disk is full
                    log.warning("a request got no answer: %s", error)


def _converse(keeper: Keeper, client: socket.socket) -> None:
    client.settimeout(TIMEOUT_SECONDS)
    with client.makefile("rwb") as file:
        asked = json.loads(file.readline(MAX_REQUEST))
        file.write(json.dumps(keeper.answer(dict(asked))).encode() + b"\n")


def ask(path: Path, asked: Message) -> Message:
    """The signer's answer; OSError when there is none."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(TIMEOUT_SECONDS)
        client.connect(str(path))
        with client.makefile("rwb") as file:
            file.write(json.dumps(asked).encode() + b"\n")
            file.flush()
            line = file.readline(MAX_REQUEST)
    if not line.endswith(b"\n"):
        raise ConnectionResetError("the signer ended in the middle of its answer")
    answer: Message = json.loads(line)
    return answer


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """One signer for one folder: two would sign two logs. The kernel frees the lock when we die."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(f"another signer works in {folder}") from None
        yield


def _read(path: Path) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(base64.b64decode(path.read_text().strip(), validate=True))


def _write(path: Path, value: Memory | Message, *, mode: int = 0o600) -> None:
    said = asdict(value) if isinstance(value, Memory) else value
    _replace(path, json.dumps(said, indent=1) + "\n", mode=mode)


def _replace(path: Path, text: str, *, mode: int) -> None:
    """Whole or not at all, and on the disk before we go on."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".new-", delete=False) as file:
        file.write(text.encode())
        file.flush()
        os.fchmod(file.fileno(), mode)
        os.fsync(file.fileno())
    Path(file.name).replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
