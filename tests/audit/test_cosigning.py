"""Witnesses outside cosign the log: what they saw goes along with it, and what is demanded of them is held to."""

import os
import subprocess
import sys
from contextlib import ExitStack
from itertools import count

import pytest

from audit.controls.seals import seals
from audit.ledger import checkpoint, cosigning, witnesses
from audit.ledger.freshness import lag
from audit.ledger.sequencer import Sequencer
from audit.models import Cosignature
from audit.pages import beside
from audit.reports import bundle
from config import checks, doctor
from tests.audit import signing
from tests.audit import witnesses as running
from tests.audit.insider import rebuild
from tests.audit.log import TESTER, address, as_insider, newest, write
from tests.audit.offline import check
from tests.stack import ROOT, wait_for

pytestmark = pytest.mark.django_db(transaction=True)
NAMES = ("one", "two", "three")


def line(name):
    return f"witness {name} {witnesses.Witness(name, name.encode().ljust(32))} https://{name}.example/\n"


THREE = "".join(map(line, NAMES))


class World:
    """A log, and three witnesses who can be away."""

    def __init__(self, settings, folder):
        self.settings, self.folder = settings, folder
        settings.KEY_DIR = folder
        self.leader, self.now = Sequencer.start(checkpoint.keeper().answer), 0.0
        self.grow()
        self.doors, self.lines, self.numbers = {}, {}, count()
        for name in NAMES:
            self.come(name)
        self.demand("group all-of-us 2 one two three\nquorum all-of-us")

    def come(self, name):
        stack = ExitStack()
        given = running.running(self.folder / name, checkpoint.verifier(), name=f"{name}.example/w")
        key, url = stack.enter_context(given)
        self.doors[name], self.lines[name] = stack, (f"witness {name} {key} {{}}", url)

    def leave(self, name):
        self.doors.pop(name).close()

    def demand(self, rest):
        text = "# who is asked\n" + "".join(f"{line.format(url)}\n" for line, url in self.lines.values())
        self.path = self.folder / f"policy-{next(self.numbers)}"
        self.path.write_text(f"{text}{rest}\n")
        self.settings.WITNESSES = self.path
        self.posters = [cosigning.Poster(one) for one in witnesses.policy().witnesses]

    def grow(self, number=3):
        write(number)
        self.now += 10
        self.leader.step(now=self.now)

    def post(self):
        for one in self.posters:
            one.step()

    def verify(self, capsys, trust=None):
        (self.folder / "log.zip").write_bytes(b"".join(bundle.take({}, by=TESTER).pieces()))
        (self.folder / "trust.json").write_bytes(trust or checkpoint.trust(0))
        return check(capsys, "bundle", self.folder / "log.zip", "--trust", self.folder / "trust.json")


def counts():
    """The newest checkpoint that counts, which there must be."""
    found = checkpoint.latest()
    assert found is not None
    return found


@pytest.fixture
def world(settings, tmp_path):
    made = World(settings, tmp_path)
    yield made
    for name in list(made.doors):
        made.leave(name)


def test_what_witnesses_cosigned_is_served_goes_along_and_is_checked_offline(world, capsys, client):
    world.post()
    world.grow()
    world.post()
    served = client.get("/audit/log/checkpoint").content.decode()
    assert served.startswith(newest().note)
    assert served.count("\n— ") == 4, "the log's signature and three others"
    code, said = world.verify(capsys)
    assert (code, "3 of 3 witnesses cosigned the newest checkpoint: one.example/w at " in said) == (
        0,
        True,
    ), said


def test_one_that_is_away_blocks_nobody_and_two_hold_back_what_counts_until_they_return(world, capsys):
    world.post()
    world.leave("three")
    world.grow()
    world.post()
    size = newest().size
    assert (counts().size, lag().pending) == (size, 0)
    assert "2 of 3 witnesses" in world.verify(capsys)[1]
    world.leave("two")
    world.grow(4)
    as_insider("UPDATE audit_entry SET occurred_at = occurred_at - interval '90 s'")
    world.post()
    behind = lag()
    assert (newest().size > size, counts().size) == (True, size)
    assert [one.witnessed for one in seals(newest().size)][-2:] == [True, False], "what CT-12 asks"
    assert (behind.pending, behind.oldest_seconds > 60) == (newest().size - size, True)
    for name in ("two", "three"):
        world.come(name)
    world.demand("group all-of-us 2 one two three\nquorum all-of-us")
    world.post()
    assert (counts().size, lag().pending) == (newest().size, 0)


def test_where_nobody_is_demanded_all_may_be_away(world, capsys):
    world.demand("quorum none")
    for name in NAMES:
        world.leave(name)
    world.grow()
    world.post()
    assert checkpoint.latest() == newest()
    assert not Cosignature.objects.exists()
    code, said = world.verify(capsys)
    assert (code, "whether witnesses saw this log: your trust.json names none" in said) == (0, True)


def test_the_page_of_checkpoints_and_the_doctor_say_who_saw_the_log_and_who_did_not(world):
    assert beside.lines()[0].title == "No witness yet"
    world.leave("three")
    world.post()
    strip = beside.lines()[0]
    assert (strip.state, "cosigned by one.example/w, two.example/w, 20" in strip.text) == ("verified", True)
    assert list(doctor._witnesses()) == [], "it may take some minutes"
    as_insider("UPDATE audit_checkpoint SET created_at = now() - interval '11 minutes'")
    assert [one.says for one in doctor._witnesses()] == ["three.example/w has cosigned nothing yet"]
    world.come("three")
    world.demand("group all-of-us all one two three\nquorum all-of-us")
    assert (beside.lines()[0].state, checkpoint.latest()) == ("waiting", None)
    world.post()
    assert (beside.lines()[0].state, list(doctor._witnesses())) == ("verified", [])


def test_a_policy_that_cannot_be_is_told_at_the_start(settings, tmp_path):
    settings.WITNESSES = tmp_path / "policy"
    assert "cannot be read" in checks.witnesses_of_the_log(None)[0].msg
    (tmp_path / "policy").write_text("quorum four")
    assert "line 1" in checks.witnesses_of_the_log(None)[0].msg


def test_g01_a_log_that_was_rewritten_with_the_signers_stolen_key_gets_no_cosignature_and_is_not_verified(
    world, capsys
):
    world.post()
    pinned = checkpoint.trust(0)
    as_insider("DELETE FROM audit_cosignature")
    as_insider(
        r"UPDATE audit_entry SET subject = 'other' WHERE id = (SELECT entry_id FROM audit_leaf WHERE index = 1)"
    )
    as_insider(
        "UPDATE audit_entry SET body = convert_to(replace(convert_from(body, 'UTF8'), 'test.happened', 'test.other'),"
        " 'UTF8'), kind = 'test.other'"
    )
    rebuild()
    world.demand("group all-of-us 2 one two three\nquorum all-of-us")
    world.post()
    assert not Cosignature.objects.exists()
    with pytest.raises(cosigning.NotCosigned, match="another log of 3 entries"):
        world.posters[0].cosign(newest())
    world.demand("quorum none")
    code, said = world.verify(capsys, pinned)
    assert (code, "0 of 3 witnesses cosigned the newest checkpoint, and you demand 2" in said) == (2, True), (
        said
    )


def test_a_cosignature_of_ones_own_making_counts_nowhere(world, capsys):
    world.post()
    before = checkpoint.latest()
    world.leave("two")
    world.leave("three")
    world.grow()
    world.post()
    as_insider("DELETE FROM audit_cosignature WHERE checkpoint_id = %s", newest().size)
    as_insider(
        "INSERT INTO audit_cosignature (checkpoint_id, witness, line, at)"
        " SELECT %s, witness, line, at FROM audit_cosignature",
        newest().size,
    )
    assert checkpoint.latest() == before
    pinned = checkpoint.trust(0)
    world.demand("quorum none")
    code, said = world.verify(capsys, pinned)
    assert (code, "the cosignature of one.example/w does not fit the checkpoint" in said) == (1, True), said


@pytest.mark.parametrize(
    ("rest", "says"),
    [
        ("", "has no quorum"),
        ("quorum four", "line 5"),
        ("group g 4 one two three\nquorum g", "4 of 3 cannot be"),
        ("group g 0 one\nquorum g", "0 of 1 cannot be"),
        ("group g all one one\nquorum g", "one twice"),
        ("group g any one\ngroup h any g\nquorum h", "not g"),
        ("group one any two\nquorum one", "one is taken"),
        ("quorum none\nquorum none", "none of witness, group and one quorum"),
        ("witness w x+1+AAAA http://x\nquorum none", "line 5"),
        ("witnesses 3", "witnesses is none of"),
    ],
)
def test_a_policy_that_cannot_be_is_refused_with_its_line(rest, says):
    with pytest.raises(witnesses.BadPolicy, match=says):
        witnesses.parse(f"# three\n{THREE}{rest}\n")


@pytest.mark.parametrize(
    ("rest", "need", "of"),
    [
        ("quorum none", 0, 0),
        ("quorum two", 1, 1),
        ("log any+key+here\ngroup g any one two\nquorum g", 1, 2),
        ("group g all one two\nquorum g", 2, 2),
        ("group g 2 one two three\nquorum g", 2, 3),
    ],
)
def test_the_quorum_is_nobody_one_witness_or_so_many_of_a_group(rest, need, of):
    policy = witnesses.parse(f"{THREE}{rest}\n")
    assert (policy.need, len(policy.of), len(policy.witnesses)) == (need, of, 3)


@pytest.mark.faults
def test_the_sequencers_process_asks_them_and_goes_on_without_the_one_that_is_away(world):
    world.leave("three")
    env = {
        **os.environ, "COUNTERSIGN_DATABASE_URL": address("countersign"),
        "COUNTERSIGN_KEY_DIR": str(world.folder), "COUNTERSIGN_WITNESSES": str(world.path),
        "COUNTERSIGN_SIGNER_SOCKET": str(world.folder / "signer.sock"),
    }  # fmt: skip
    with signing.running(world.folder):
        process = subprocess.Popen([sys.executable, "manage.py", "sequencer"], env=env, cwd=ROOT)
        try:
            write(5)
            wait_for(lambda: checkpoint.latest() is not None and counts().size == 8)
            assert Cosignature.objects.filter(checkpoint_id=8).count() == 2
        finally:
            process.terminate()
            assert process.wait(20) == 0
