"""The signer signs one log: whatever it is asked, whenever it dies, each head begins with the one before."""

import os
import shutil
import socket
import stat
import threading
import time
from contextlib import suppress
from hashlib import sha256
from random import Random

import pytest

from audit.ledger import merkle, signer
from audit.ledger.note import read
from tests.audit import signing
from tests.audit.signing import HEAD, ORIGIN

LEAVES = [sha256(bytes([number])).digest() for number in range(40)]
NOBODY = 65534


class Log:
    """A log that is asked to be signed; `leaves` may be exchanged behind the signer's back."""

    def __init__(self, leaves=LEAVES):
        self.leaves, self.signed = list(leaves), 0

    def root(self, size):
        grown = merkle.Range()
        grown.extend(self.leaves[:size])
        return grown.root()

    def asks(self, size, old=None, *, first=True):
        old = self.signed if old is None else old
        proof = merkle.consistency(old, size, self._node) if 0 < old <= size else []
        told = [one.hex() for one in proof]
        return {
            "do": "sign", "old": old, "size": size, "root": self.root(size).hex(), "proof": told, "first": first,
        }  # fmt: skip

    def _node(self, level, index):
        grown = merkle.Range()
        grown.extend(self.leaves[index << level : (index + 1) << level])
        return grown.root()


@pytest.fixture
def keeper(tmp_path):
    return signing.keeper(tmp_path)


def said(note, keeper):
    return read(note, *(one.verifier for one in keeper.memory.keys))[0].split("\n")


def signs(keeper, log, size):
    told = keeper.answer(log.asks(size))
    assert "note" in told, told
    log.signed = size
    return told["note"]


def test_a_head_is_signed_behind_what_was_signed_before(keeper):
    log = Log()
    for size in (1, 2, 7, 8, 33):
        assert said(signs(keeper, log, size), keeper)[:2] == [ORIGIN, str(size)]
    assert signs(keeper, log, 33) == signs(keeper, log, 33), "the same head again is the same note"
    assert keeper.answer(dict(HEAD))["root"] == log.root(33).hex()


def test_g01_a_head_of_another_log_is_refused_at_every_size_and_whatever_is_claimed(keeper):
    log = Log()
    signs(keeper, log, 20)
    other = Log([sha256(b"another").digest(), *LEAVES[1:]])
    refused = [
        other.asks(20, 20),  # another log of the same size
        other.asks(21, 20),
        other.asks(40, 20),
        {**log.asks(30, 20), "root": other.root(30).hex()},
        {**log.asks(30, 20), "proof": []},
        {**log.asks(30, 20), "proof": ["00" * 32] * 4},
        {**log.asks(10, 20), "proof": []},  # cut off
        {**log.asks(30, 20), "size": "30"},
        {**log.asks(30, 20), "size": 30.0},
        {**log.asks(30, 20), "size": True},
        {**log.asks(30, 20), "root": "zz"},
        {**log.asks(30, 20), "more": 1},
        {"do": "_make"},
        {"do": "forget"},
        {},
    ]
    told = [keeper.answer(dict(one)) for one in refused]
    assert [one for one in told if list(one) != ["refused"]] == []
    assert keeper.answer(other.asks(40, 0)) == {"last": 20}, "who claims to begin is told where it stands"
    signs(keeper, log, 40)


def test_nobody_but_its_owner_reads_the_key_and_everybody_the_public_half(keeper, tmp_path):
    signs(keeper, Log(), 1)
    (key,) = (tmp_path / "signer").glob("*.key")
    modes = [stat.S_IMODE(one.stat().st_mode) for one in (key, tmp_path / "signer/signed.json", key.parent)]
    assert modes == [0o600, 0o600, 0o700]
    assert stat.S_IMODE((tmp_path / "public/signer/ledger.json").stat().st_mode) == 0o644


def test_no_key_is_made_for_a_log_that_says_that_it_has_signed(keeper):
    told = keeper.answer(Log().asks(5, 0, first=False))
    assert "restore the key" in told["refused"]
    assert keeper.memory.keys == []


def test_the_key_of_an_older_installation_is_taken_over(tmp_path, keeper):
    signs(keeper, Log(), 1)
    (key,) = (tmp_path / "signer").glob("*.key")
    key.rename(tmp_path / "ledger.key")
    shutil.rmtree(tmp_path / "signer")
    later = signing.keeper(tmp_path)
    assert (later.memory.keys, (tmp_path / "ledger.key").exists()) == (keeper.memory.keys, False)
    assert "note" in later.answer(Log().asks(5, 0, first=False))


def test_a_lost_memory_is_told_and_only_a_person_may_begin_anew(tmp_path, keeper):
    signs(keeper, Log(), 20)
    kept = (tmp_path / "signer/signed.json").read_text()
    (tmp_path / "signer/signed.json").unlink()
    with pytest.raises(signer.Refused, match="restore the file"):
        signing.keeper(tmp_path)
    (tmp_path / "signer/signed.json").write_text(kept)
    again = signing.keeper(tmp_path)
    cut = Log(LEAVES[:10])
    assert again.answer(cut.asks(10, 0)) == {"last": 20}
    again.forget()
    signs(signing.keeper(tmp_path), cut, 10)


def test_the_memory_of_another_log_is_not_used(tmp_path, keeper):
    with pytest.raises(signer.Refused, match="is of the log"):
        signing.keeper(tmp_path, "another/log")


class Lost(BaseException):
    """The process is gone."""


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("number", range(7))
def test_a_crash_at_any_write_signs_no_fork_and_gets_nobody_stuck(tmp_path, monkeypatch, number, after):
    """Each write to the disk in turn is the last one of its process: not begun, or done and nothing after it."""
    write, left = signer._replace, [number]

    def dies(path, text, *, mode):
        left[0] -= 1
        if left[0] == -1 and not after:
            raise Lost
        write(path, text, mode=mode)
        if left[0] == -1:
            raise Lost

    log, notes = Log(), []
    with monkeypatch.context() as patch:
        patch.setattr(signer, "_replace", dies)
        with pytest.raises(Lost):
            one = signing.keeper(tmp_path)
            for size in (3, 8, 9, 21):
                note = signs(one, log, size)
                notes.append((size, note))
    again = signing.keeper(tmp_path)
    for size in (25, 40):
        last = again.answer(log.asks(size, 10**6))["last"]
        assert last >= max((size for size, _ in notes), default=0), "what left it is remembered"
        notes.append((size, again.answer(log.asks(size, last))["note"]))
    assert len(again.memory.keys) == 1
    assert [int(said(note, again)[1]) for _, note in notes] == [size for size, _ in notes]


def test_two_signers_never_share_a_key(tmp_path):
    with signing.running(tmp_path), pytest.raises(signer.Refused, match="another signer"):  # noqa: SIM117
        with signer.alone(tmp_path / "signer"):
            pass


def test_nonsense_on_its_socket_stops_nobody(tmp_path):
    with signing.running(tmp_path) as process:
        for nonsense in (b"\n", b"[1]\n", b"{}\n", b"null\n", b"\xff\n", b"{" * 70_000, b'{"do": 1}\n'):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(tmp_path / "signer.sock"))
                with suppress(BrokenPipeError):
                    client.sendall(nonsense)
                with suppress(ConnectionResetError):
                    client.recv(1000)
        assert signer.ask(tmp_path / "signer.sock", HEAD)["size"] == 0
        assert process.poll() is None


@pytest.mark.faults
def test_a_signer_that_is_killed_again_and_again_signs_one_log(tmp_path):
    random, log, notes = Random(5), Log(), []  # noqa: S311
    path, size = tmp_path / "signer.sock", 0
    for _ in range(8):
        process = signing.start(tmp_path)
        threading.Timer(random.random() * 0.15, process.kill).start()
        while process.poll() is None and size < len(LEAVES):
            try:
                last = signer.ask(path, HEAD)["size"]
                size = min(last + 1, len(LEAVES))
                told = signer.ask(path, log.asks(size, last))
                notes.append((size, told["note"]))
            except (OSError, ValueError):
                time.sleep(0.001)
        process.communicate()
        size = 0
    again = signing.keeper(tmp_path)
    assert len(notes) > 8
    for size, note in notes:
        text = said(note, again)
        assert text[1] == str(size)
    assert [size for size, _ in notes] == sorted(size for size, _ in notes)
    assert again.memory.size >= notes[-1][0]


def as_user(number, act):
    """What `act` answers as another user, in a process of its own."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setgid(number)
            os.setuid(number)
            os.write(writing, repr(act()).encode())
        except OSError as error:
            os.write(writing, type(error).__name__.encode())
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        return answer.read()


@pytest.mark.skipif(
    os.geteuid() != 0,
    reason="LOUD: only root can start a process as somebody else; this promise was not checked",
)
def test_g01_where_the_signer_is_a_user_of_its_own_nobody_else_can_read_its_key_and_all_can_ask(tmp_path):
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(0o755)
    signs(signing.keeper(tmp_path), Log(), 1)
    (key,) = (tmp_path / "signer").glob("*.key")
    for path in (tmp_path / "signer", *(tmp_path / "signer").iterdir()):
        os.chown(path, NOBODY, NOBODY)
    assert as_user(NOBODY, lambda: len(key.read_text()) > 40) == "True"
    assert as_user(61000, key.read_text) == "PermissionError"
    assert as_user(61000, (tmp_path / "signer/signed.json").read_text) == "PermissionError"
    assert "keys" in as_user(61000, (tmp_path / "public/signer/ledger.json").read_text)
    with signing.running(tmp_path):
        assert as_user(61000, lambda: signer.ask(tmp_path / "signer.sock", HEAD)) == "PermissionError"
        os.chown(tmp_path / "signer.sock", -1, 61000)  # the sequencer's group
        assert "'size': 1" in as_user(61000, lambda: signer.ask(tmp_path / "signer.sock", HEAD))
