"""What is altered in place is found and named; the commands and the stand-alone verifier that find it.

Who finds which attack of an insider, in one table: test_insider.py.
"""

import io
import json
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.db import transaction

import audit.verify
from accounts.models import Team
from audit.canonical import canonical, parse
from audit.ledger import checkpoint, examine, export, merkle, note, proofs
from audit.ledger.record import record
from audit.models import Checkpoint, Entry, Leaf
from tests.audit.insider import rebuild
from tests.audit.log import TESTER, as_insider, sequence, stream, write
from tests.audit.test_record import make_team

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("own_key")]


@pytest.fixture
def team():
    """A log of 300 entries and more, with two checkpoints, and a governed row in it."""
    write(150)
    sequence()
    team = make_team()
    stream(3)
    write(150)
    sequence()
    return team


def findings(*pinned):
    report = examine.examine(checkpoint.keys(), pinned=pinned)
    return report.first.text if report.first else None


def entry_at(index):
    return Leaf.objects.select_related("entry").get(index=index).entry


def test_an_untouched_log_fits(team):
    assert findings() is None
    report = examine.examine(checkpoint.keys())
    assert (report.size, report.checkpoints, report.rows) == (304, 2, 1)


def edit_body(entry, **changes):
    body = canonical({**parse(bytes(entry.body)), **changes})
    as_insider("UPDATE audit_entry SET body = %s WHERE id = %s", body, entry.pk)


@pytest.mark.parametrize(
    ("attack", "found"),
    [
        (lambda: edit_body(entry_at(42), data={"x": 1}), "Entry 42 was altered"),
        (lambda: as_insider("DELETE FROM audit_entry WHERE id = %s", entry_at(42).pk), "of index 42 was deleted"),
        (
            lambda: as_insider("UPDATE audit_entry SET subject = 'other' WHERE id = %s", entry_at(42).pk),
            "Entry 42 is listed with another subject",
        ),
        (lambda: as_insider("DELETE FROM audit_leaf WHERE index = 42"), "Index 42 is missing"),
        (
            lambda: as_insider("UPDATE audit_tile SET data = reverse(data) WHERE index = 1 AND level = 0"),
            "Tile 0/1 does not fit",
        ),
        (lambda: as_insider("DELETE FROM audit_tile WHERE level = 1"), "Tile 1/0 does not fit"),
        (
            lambda: as_insider("UPDATE audit_checkpoint SET note = replace(note, '304', '303')"),
            "checkpoint of 304 entries is not signed",
        ),
        (lambda: as_insider("UPDATE audit_head SET size = 12"), "head of the log (12 entries)"),
        (lambda: as_insider("DELETE FROM audit_leaf WHERE index > 200"), "its end was cut off"),
        (lambda: as_insider("UPDATE accounts_team SET name = 'Evil'"), "was edited"),
        (
            lambda: as_insider("UPDATE accounts_team SET name = 'Evil', version = 2"),
            "is at version 2, but its newest entry tells 1",
        ),
        (
            lambda: as_insider(
                "INSERT INTO accounts_team (id, version, slug, name, group_id)"
                " VALUES (gen_random_uuid(), 1, 's', 'n', %s)",
                Group.objects.create(name="new").pk,
            ),
            "has no entry",
        ),
    ],
    ids=[
        "body", "entry", "column", "leaf", "tile", "no tile", "checkpoint", "head", "tail", "row", "version", "new row",
    ],
)  # fmt: skip
def test_what_an_insider_alters_in_place_is_found(team, attack, found):
    attack()
    assert found in findings()


def test_a_rebuilt_and_signed_log_is_found_only_with_a_checkpoint_kept_outside(team):
    kept = Checkpoint.objects.get(size=150).note
    edit_body(entry_at(42), data={"forged": True})
    rebuild()
    assert findings() is None, "inside the database everything fits again"
    assert "Two different logs of 150 entries" in findings(kept)


def test_the_command_names_the_first_wrong_place_and_fails(team):
    out = io.StringIO()
    call_command("ledger", "verify", "--json", stdout=out)
    assert json.loads(out.getvalue())["verified"] is True
    edit_body(entry_at(42), data={"x": 1})
    out = io.StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("ledger", "verify", stdout=out)
    assert ended.value.code == 1
    assert "First: Entry 42 was altered: its bytes are not those that were sealed." in out.getvalue()


# --- the stand-alone verifier --------------------------------------------------------------------------------


def offline(*arguments):
    done = subprocess.run(
        [sys.executable, "-I", audit.verify.__file__, *map(str, arguments)],
        capture_output=True,
        check=False,
        text=True,
    )
    return done.returncode, done.stdout


def test_an_export_is_verified_with_python_alone(team, tmp_path):
    export.write(tmp_path / "out")
    key = checkpoint.verifier()
    code, said = offline("export", tmp_path / "out", "--key", key)
    assert (code, said.splitlines()[0].split(":")[0]) == (0, "Verified")
    assert "Not checked: whether the whole log was exchanged" in said
    state = tmp_path / "seen"
    assert offline("export", tmp_path / "out", "--key", key, "--state", state)[0] == 0
    assert "exchanged" not in offline("export", tmp_path / "out", "--key", key, "--state", state)[1]


@pytest.mark.parametrize(
    "damage",
    [
        lambda lines: lines[:-1],
        lambda lines: lines[:42] + lines[43:],
        lambda lines: [*lines, lines[0]],
        lambda lines: [lines[1], lines[0], *lines[2:]],
        lambda lines: [line.replace(b"T-", b"U-") for line in lines],
        lambda lines: [line.replace(b":", b": ") for line in lines],
    ],
)
def test_a_damaged_export_is_not_verified(team, tmp_path, damage):
    export.write(tmp_path / "out")
    file = tmp_path / "out" / "entries.jsonl"
    file.write_bytes(b"".join(damage(file.read_bytes().splitlines(keepends=True))))
    assert offline("export", tmp_path / "out", "--key", checkpoint.verifier())[0] == 1


def test_the_offline_verifier_knows_what_it_cannot_tell(team, tmp_path):
    export.write(tmp_path / "out")
    other = note.Signer(checkpoint.verifier().name, Ed25519PrivateKey.generate()).verifier
    assert offline("export", tmp_path / "out", "--key", other)[0] == 1
    assert offline("export", tmp_path / "out", "--key", "nonsense")[0] == 2
    assert offline("export", tmp_path / "nowhere", "--key", checkpoint.verifier())[0] == 2
    assert offline("export")[0] == 3


def test_an_exchanged_log_is_found_with_a_pinned_checkpoint(team, tmp_path):
    pinned = tmp_path / "pinned"
    pinned.write_text(Checkpoint.objects.get(size=150).note)
    edit_body(entry_at(42), data={"forged": True})
    rebuild()
    export.write(tmp_path / "out")
    key = checkpoint.verifier()
    assert offline("export", tmp_path / "out", "--key", key)[0] == 0
    code, said = offline("export", tmp_path / "out", "--key", key, "--pinned", pinned)
    assert (code, "the first 150 entries" in said) == (1, True)


def test_one_entry_is_proved_offline_and_another_is_not(team, tmp_path):
    for index in (0, 42, 303):
        entry = entry_at(index)
        (tmp_path / "entry").write_bytes(bytes(entry.body))
        (tmp_path / "proof").write_text(proofs.of_entry(entry).text())
        command = ["proof", tmp_path / "entry", tmp_path / "proof", "--key", checkpoint.verifier()]
        assert offline(*command)[0] == 0
        (tmp_path / "entry").write_bytes(bytes(entry.body).replace(b"T", b"U", 1))
        assert offline(*command)[0] == 1


def test_growth_is_proved_offline(team, tmp_path):
    old, new = Checkpoint.objects.order_by("size")
    (tmp_path / "old").write_text(old.note)
    (tmp_path / "new").write_text(new.note)
    import base64

    path = proofs.consistency(old, new)
    (tmp_path / "proof").write_text("".join(base64.b64encode(one).decode() + "\n" for one in path))
    command = [
        "consistency",
        tmp_path / "old",
        tmp_path / "new",
        tmp_path / "proof",
        "--key",
        checkpoint.verifier(),
    ]
    assert offline(*command)[0] == 0
    (tmp_path / "proof").write_text("".join(base64.b64encode(one[::-1]).decode() + "\n" for one in path))
    assert offline(*command)[0] == 1


def test_no_proof_is_handed_out_that_does_not_hold(team):
    entry = entry_at(42)
    edit_body(entry, data={"x": 1})
    with pytest.raises(proofs.ProofDoesNotHold):
        proofs.of_entry(Entry.objects.get(pk=entry.pk))
    with pytest.raises(proofs.NotYetSealed):
        proofs.of_entry(write(1)[0])


def test_both_verifiers_agree_on_growth():
    leaves = [merkle.leaf_hash(bytes([number])) for number in range(40)]

    def root(size):
        grown = merkle.Range()
        grown.extend(leaves[:size])
        return grown.root()

    def node(level, index):
        grown = merkle.Range()
        grown.extend(leaves[index << level : (index + 1) << level])
        return grown.root()

    for new in range(1, 41):
        for old in range(1, new + 1):
            path = merkle.consistency(old, new, node)
            head = audit.verify.Head(old, root(old))
            assert audit.verify.roots_by_path(head, new, path) == (root(old), root(new))


def test_offline_signatures_agree_with_the_library():
    from random import Random

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    random = Random(5)  # noqa: S311
    for size in (0, 1, 100):
        key = Ed25519PrivateKey.from_private_bytes(random.randbytes(32))
        public, message = key.public_key().public_bytes_raw(), random.randbytes(size)
        signature = key.sign(message)
        assert audit.verify.signature_holds(public, message, signature)
        assert not audit.verify.signature_holds(public, message + b"x", signature)
        for position in (0, 31, 32, 63):
            bad = bytearray(signature)
            bad[position] ^= 1
            assert not audit.verify.signature_holds(public, message, bytes(bad))
        high = int.from_bytes(signature[32:], "little") + audit.verify.L
        assert not audit.verify.signature_holds(public, message, signature[:32] + high.to_bytes(32, "little"))


def test_a_change_of_a_governed_row_still_fits(team):
    with transaction.atomic():
        Team.objects.filter(pk=team.pk).update(name="Pay", version=2)
        team.version = 2
        record("team.renamed", of=team, subject="payments", actor=TESTER)
    sequence()
    assert findings() is None
