"""The standalone witness keeps to C2SP tlog-witness: it cosigns one log, and tells each other answer by its number."""

import base64
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from audit import witness
from tests.audit import witnesses
from tests.audit.offline import ORIGIN, Log, entry
from tests.audit.witnesses import submit

LOG = Log([entry(number) for number in range(40)])
OTHER = Log([entry(number + 1) for number in range(40)])  # the same key signs another log


@pytest.fixture
def running(tmp_path):
    with witnesses.running(tmp_path / "w1", LOG.key) as (key, address):
        yield key, address


def growth(old, new, log=LOG):
    return log.growth(old, new).splitlines() if 0 < old < new else []


def asked(address, old, new, log=LOG, proof=None):
    return submit(address, old, growth(old, new, log) if proof is None else proof, log.checkpoint(new))


def test_it_cosigns_what_begins_with_what_it_cosigned_before(running):
    key, address = running
    name, written, encoded = key.split("+", 2)
    for old, new in ((0, 3), (3, 3), (3, 8), (8, 9), (9, 40)):
        said = asked(address, old, new)
        assert said.status_code == 200, said.text
        dash, signer, blob = said.text.removesuffix("\n").split(" ")
        data = base64.b64decode(blob)
        assert (dash, signer, data[:4].hex()) == ("—", name, written)
        at = int.from_bytes(data[4:12], "big")
        text = LOG.checkpoint(new).partition("\n\n")[0]
        public = Ed25519PublicKey.from_public_bytes(base64.b64decode(encoded)[1:])
        public.verify(data[12:], f"cosignature/v1\ntime {at}\n{text}\n".encode())


def test_each_other_answer_has_its_number_and_changes_nothing(running):
    _, address = running
    assert asked(address, 0, 20).status_code == 200
    stranger = Log(LOG.bodies, seed=2)
    note = LOG.checkpoint(30)
    good = growth(20, 30)
    told = {
        "an old size that is not the last one": (409, submit(address, 0, [], note)),
        "a smaller one": (409, submit(address, 10, growth(10, 30), note)),
        "another log of the same size": (409, asked(address, 20, 20, OTHER)),
        "another log": (422, asked(address, 20, 30, OTHER)),
        "no proof": (422, submit(address, 20, [], note)),
        "a proof too many": (422, submit(address, 20, [*good, good[0]], note)),
        "a proof where nothing grew": (422, submit(address, 20, good, LOG.checkpoint(20))),
        "a key that is not known": (403, asked(address, 20, 30, stranger)),
        "a signature that does not fit": (403, submit(address, 20, good, note.replace("\n30\n", "\n31\n"))),
        "a log that is not known": (
            404,
            submit(address, 20, good, note.replace(ORIGIN, "other.example/log")),
        ),
        "an old size beyond the checkpoint": (400, submit(address, 40, [], note)),
        "64 lines of proof": (400, submit(address, 20, good[:1] * 64, note)),
        "no base64": (400, submit(address, 20, ["!"], note)),
        "a size that is none": (400, submit(address, "020", good, note)),
        "no checkpoint": (400, submit(address, 20, good, "")),
        "no signature": (400, submit(address, 20, good, note.partition("\n\n")[0] + "\n")),
        "another address": (404, httpx.post(f"{address}/add")),
        "too much": (413, httpx.post(f"{address}/add-checkpoint", content=b"x" * 70_000)),
        "no text": (400, httpx.post(f"{address}/add-checkpoint", content=b"\xff\xfe\n\n")),
    }
    assert {name: said.status_code for name, (_, said) in told.items()} == {
        name: code for name, (code, _) in told.items()
    }
    conflict = told["an old size that is not the last one"][1]
    assert (conflict.text, conflict.headers["content-type"]) == ("20\n", "text/x.tlog.size")
    assert asked(address, 20, 40).status_code == 200


def test_an_empty_log_is_cosigned_too(running):
    assert submit(running[1], 0, [], LOG.checkpoint(0)).status_code == 200
    assert asked(running[1], 0, 5).status_code == 200


@pytest.mark.parametrize("after", [False, True])
def test_a_crash_at_its_write_cosigns_no_fork(tmp_path, monkeypatch, after):
    witness.make(tmp_path / "w", "w")
    one = witness.Witness(tmp_path / "w", [LOG.key])
    replace = Path.replace

    def dies(self, target):
        if after:
            replace(self, target)
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", dies)
        with pytest.raises(MemoryError):
            one.cosign(f"old 0\n\n{LOG.checkpoint(20)}".encode())
    one.lock.close()
    again = witness.Witness(tmp_path / "w", [LOG.key])
    assert again.seen == ({ORIGIN: [20, LOG.root(20).hex()]} if after else {})
    again.lock.close()


def test_a_second_one_with_the_same_memory_is_refused_and_a_key_is_made_once(tmp_path, capsys):
    with witnesses.running(tmp_path / "w1", LOG.key):
        assert witness.main(["serve", "--folder", str(tmp_path / "w1"), "--log", LOG.key]) == 1
    assert witness.main(["make", "w", "--folder", str(tmp_path / "w1")]) == 1
    assert witness.main(["serve", "--folder", str(tmp_path / "w1"), "--log", "x+1+AA=="]) == 1
    assert capsys.readouterr().err.count("Not started") == 3


def test_it_runs_alone_without_anything_of_ours(tmp_path):
    program = tmp_path / "countersign-witness.py"
    program.write_bytes(Path(witness.__file__).read_bytes())
    command = [sys.executable, "-I", program, "make", "w.example", "--folder", tmp_path / "w"]
    made = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert made.stdout.startswith("w.example+")
    assert (tmp_path / "w/witness.key").stat().st_mode & 0o777 == 0o600
