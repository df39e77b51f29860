"""Every known way to cheat with a superuser's SQL, and who finds it: as the page tells it, to the word.

The examination looks at the database, with its rows. The offline verifier has a bundle alone, so it never sees a
row; with a checkpoint that was kept outside it sees what everybody inside has lost.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from django.db import ProgrammingError

from approvals import gate
from audit.canonical import parse
from audit.ledger import checkpoint, examine
from audit.ledger.integrate import Broken
from audit.models import Entry
from audit.reports import bundle
from tests.approvals.test_insider_start import refused
from tests.audit import insider
from tests.audit.log import TESTER, as_insider, newest, sequence
from tests.audit.offline import check

pytestmark = pytest.mark.django_db(transaction=True)
PAGE = Path("docs/explanation/insider.md")
HEAD = "| They, with a superuser's SQL |"
FOUND, CLEAN, NEVER = "found", "not found", "refused"


class Attack(NamedTuple):
    """What is done, who finds it (inside; offline; offline with a checkpoint kept outside), and in which words."""

    does: Callable[[insider.Story], None]
    inside: str
    offline: str
    pinned: str
    because: str = ""
    witnessed: bool = False  # the auditor demands a witness, who has seen the log before


A = Attack
ATTACKS = {
    "write an entry while the guards are awake": A(insider.update_awake, NEVER, NEVER, NEVER),
    "edit an entry": A(insider.edit, FOUND, FOUND, FOUND, "was altered"),
    "delete an entry": A(insider.delete_entry, FOUND, FOUND, FOUND, "was deleted: its leaf is left"),
    "delete an entry and its leaf": A(insider.delete_with_leaf, FOUND, FOUND, FOUND, "is missing"),
    "exchange the places of two entries": A(insider.swap, FOUND, FOUND, FOUND, "not those of the signed checkpoint"),
    "put an entry between others": A(insider.put_between, FOUND, FOUND, FOUND, "not those of the signed checkpoint"),
    "cut off the newest leaves": A(insider.cut, FOUND, FOUND, FOUND, "its end was cut off"),
    "edit an entry, rebuild everything, have the signer sign it": A(insider.edit_rebuild_and_ask, NEVER, NEVER, NEVER),
    "restore an old backup, let the log go on": A(insider.restore_and_go_on, NEVER, NEVER, NEVER),
    "edit an entry, rebuild everything, sign it with the signer's stolen key": A(
        insider.edit_and_rebuild, CLEAN, CLEAN, FOUND, "entries are not those"
    ),
    "drop the last entry of a row, set the row back, rebuild and sign": A(
        insider.drop_last_and_rebuild, CLEAN, CLEAN, FOUND, "the end is missing"
    ),
    "restore an old backup": A(insider.restore, CLEAN, CLEAN, FOUND, "the end is missing"),
    "edit a governed row only": A(insider.edit_row, FOUND, CLEAN, CLEAN, "was edited"),
    "delete a governed row only": A(insider.delete_row, FOUND, CLEAN, CLEAN, "tells of is gone"),
    "take an entry out of the queue": A(insider.unqueue, FOUND, CLEAN, CLEAN, "has no place in the log"),
    "take back a row, its entry and its place in the queue before it is sealed": A(
        insider.suppress, CLEAN, CLEAN, CLEAN
    ),
    "forge an approval, with its row, its entry and the web server's signature": A(
        insider.forge, CLEAN, CLEAN, CLEAN
    ),
    "write an entry about a row that did not change": A(
        insider.entry_without_row, FOUND, CLEAN, CLEAN, "but its newest entry tells 3"
    ),
    "invent an entry about no row, dated back": A(insider.invent, CLEAN, CLEAN, CLEAN),
    "stop the sequencer": A(insider.stop_sequencing, CLEAN, CLEAN, CLEAN),
    "edit an entry, rebuild everything, sign and cosign it with the stolen keys of signer and all witnesses": A(
        insider.edit_and_rebuild_with_witnesses, CLEAN, CLEAN, FOUND, "entries are not those", True
    ),
}  # fmt: skip


class Auditor:
    """Somebody outside, with what they noted before the attack."""

    def __init__(self, folder: Path, capsys: Any) -> None:
        self.folder, self.capsys = folder, capsys
        (folder / "trust.json").write_bytes(checkpoint.trust(0))
        self.kept = newest().note
        (folder / "kept").write_text(self.kept)

    def demand(self, witnesses: dict[str, Any]) -> None:
        told = json.loads((self.folder / "trust.json").read_bytes())
        (self.folder / "trust.json").write_text(json.dumps({**told, "witnesses": witnesses}))

    def take(self) -> None:
        (self.folder / "log.zip").write_bytes(b"".join(bundle.take({}, by=TESTER).pieces()))

    def asks(self, what: str = "bundle", *, pinned: bool = False) -> tuple[str, str]:
        also = ["--pinned", self.folder / "kept"] if pinned else []
        trust = self.folder / "trust.json"
        code, said = check(self.capsys, what, self.folder / "log.zip", "--trust", trust, *also)
        return {0: CLEAN, 1: FOUND}.get(code, f"{code}: {said}"), said


@pytest.fixture
def story():
    return insider.Story()


@pytest.fixture
def auditor(story, tmp_path, capsys):
    return Auditor(tmp_path, capsys)


def inside(*pinned: str) -> str:
    """The first sentence of the examination; empty where everything fits."""
    report = examine.examine(checkpoint.keys(), pinned=pinned)
    return report.first.text if report.first else ""


def test_the_story_fits_before_anybody_touches_it(story, auditor):
    auditor.take()
    assert inside(auditor.kept) == ""
    assert auditor.asks()[0] == auditor.asks(pinned=True)[0] == CLEAN
    verdict, said = auditor.asks("signoffs")
    assert (verdict, "1 sign-offs are proved by passkeys" in said) == (CLEAN, True)


@pytest.mark.parametrize("name", ATTACKS)
def test_g01_d19_each_attack_is_found_by_whom_the_page_says(story, auditor, settings, name):
    attack = ATTACKS[name]
    settings.SIGNS_AS = "web"
    if attack.inside == NEVER:
        with pytest.raises((ProgrammingError, Broken), match=r"append-only|signer refuses"):
            attack.does(story)
        return
    if attack.witnessed:
        auditor.demand(story.demand_witness(auditor.folder / "w"))
    attack.does(story)
    told, with_kept = inside(), inside(auditor.kept)
    auditor.take()
    offline, (pinned, said) = auditor.asks()[0], auditor.asks(pinned=True)
    assert (FOUND if told else CLEAN, offline, pinned) == attack[1:4], (told, said)
    assert bool(with_kept) == (FOUND in {attack.inside, attack.pinned}), with_kept
    assert attack.because in (told or said), (told, said)


def test_a_forged_approval_that_every_ledger_check_believes_is_caught_by_the_passkey_it_lacks(
    story, auditor, settings
):
    settings.SIGNS_AS = "web"
    insider.forge(story)
    auditor.take()
    assert (inside(auditor.kept), auditor.asks(pinned=True)[0]) == ("", CLEAN)
    verdict, said = auditor.asks("signoffs")
    assert (verdict, "demanded a passkey" in said) == (FOUND, True), said
    assert refused(story.waiting, settings) == gate.PasskeyUnproved.code


def test_what_was_held_back_is_in_no_later_log(story, auditor):
    """The window is until the next checkpoint; what was sealed cannot be held back any more."""
    insider.suppress(story)
    sequence()
    assert inside(auditor.kept) == ""
    held = [parse(bytes(one.body)) for one in Entry.objects.filter(kind="team.renamed")]
    assert [one["stream_version"] for one in held] == [2]


def test_g06_with_every_name_and_every_word_of_a_person_erased_the_log_still_verifies(story, auditor):
    for model in examine.governed():
        for column in model.unsealed:
            blank = {"JSONField": "'[]'", "BinaryField": "NULL"}
            said = blank.get(model._meta.get_field(column).get_internal_type(), "id::text")
            as_insider(f"UPDATE {model._meta.db_table} SET {column} = {said}")  # noqa: S608 - names of ours
    as_insider("UPDATE accounts_person SET name = id::text")
    as_insider("DELETE FROM audit_actorname")
    assert inside(auditor.kept) == ""
    auditor.take()
    assert [auditor.asks(pinned=True)[0], auditor.asks("signoffs", pinned=True)[0]] == [CLEAN, CLEAN]
    sealed = (auditor.folder / "log.zip").read_bytes()
    assert [name for name in story.bank.people if re.search(rf"\b{name.title()}\b".encode(), sealed)] == []


def test_the_page_tells_the_verdicts_of_these_attacks_and_no_others():
    lines = PAGE.read_text("utf-8").partition(HEAD)[2].partition("\n\n")[0].splitlines()[2:]
    told = {cells[0]: tuple(cells[1:]) for cells in (re.split(r" *\| *", line.strip("| ")) for line in lines)}
    assert told == {name: attack[1:4] for name, attack in ATTACKS.items()}


def test_what_is_left_over_is_one_row_each_with_its_answer_and_a_test_of_that():
    lines = [
        re.split(r" *\| *", line.strip("| "))
        for line in PAGE.read_text("utf-8").splitlines()
        if line.startswith("| (")
    ]
    letters, rows, tests = ([line[at] for line in lines] for at in (0, 1, 3))
    assert [letter[:3] for letter in letters] == [f"({letter})" for letter in "abcdef"]
    assert len(set(rows)) == len(set(rows) & set(ATTACKS)) == 6
    known = "".join(path.read_text("utf-8") for path in Path("tests").rglob("test_*.py"))
    assert [one for one in tests if f"def {one.strip('`')}(" not in known] == []
