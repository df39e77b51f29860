"""What people typed and what they are called is erased by a governed act; the log, and every copy, still verifies."""

import json
import shutil
from html import unescape

import pytest
from django.db import DatabaseError, transaction

from accounts import permissions, teams
from accounts.models import Person, User
from approvals.models import SignOff
from approvals.switches import throw
from audit.canonical import parse
from audit.ledger import checkpoint, examine, openings
from audit.ledger.personal import ERASED
from audit.models import ActorName, Entry, FormerName, Leaf, Opening
from audit.refusals import Invalid
from audit.reports import bundle, population
from orchestration import changes, erasing
from orchestration.governed.install import install
from orchestration.models import Comment, Environment, Service, Workflow
from tests import kept
from tests.audit.log import TESTER, as_insider, newest, sequence
from tests.audit.offline import check
from tests.browser import Browser
from tests.factories import TEST, Bank
from tests.orchestration.test_governed import C, agree, ask, node, run

pytestmark = pytest.mark.django_db(transaction=True)
__all__ = ["node"]
BASIS = "Art. 17(1)(a): no longer needed"
TYPED = "Ask Ravi Rao, whose mother is ill."


class Room:
    """A bank with the acts that erase, a change about which somebody wrote too much, and a stop that names a person."""

    def __init__(self):
        kept.begin(self, Room, self._build)

    def _build(self):
        self.bank = bank = Bank()
        install(bank.teams["platform"], by=TEST)
        rows = (
            *Workflow.objects.filter(slug__startswith="privacy-"),
            *Environment.objects.filter(slug="control-room"),
            *Service.objects.filter(slug="countersign"),
        )
        for slug in ("payments", "security", "platform"):
            for one in rows:
                for verb in ("request", "sign_off"):
                    permissions.grant(bank.teams[slug], verb, one, by=TEST)
        self.change = bank.change()
        changes.comment(self.change, text=TYPED, by=bank.people["jonas"])
        bank.say(self.change, "jonas", comment="As Ravi Rao said.")
        throw(
            environment="test",
            action="*",
            hard=False,
            reason="Ravi Rao is drunk.",
            by=bank.people["ravi"].actor,
        )
        sequence()

    def number(self, kind):
        return Leaf.objects.filter(entry__kind=kind).latest("index").index

    def asks(self, *kinds):
        numbers = " ".join(str(self.number(kind)) for kind in kinds)
        return ask(self.bank, "privacy-texts", entries=numbers, basis=BASIS)

    def erases(self, node, *kinds):
        change = self.asks(*kinds)
        agree(change, self.bank, "sam", "noor")
        assert run(change, node).state == C.SUCCEEDED, change.runs.get().steps.get().attempts.get().reason
        sequence()
        return change


@pytest.fixture
def room():
    return Room()


@pytest.fixture
def auditor(tmp_path, capsys):
    """What somebody outside noted, and what they ask of the files that they were given."""

    class Auditor:
        def takes(self, name):
            (tmp_path / f"{name}.zip").write_bytes(b"".join(bundle.take({}, texts=True, by=TESTER).pieces()))
            found = Leaf.objects.select_related("entry").filter(index__lt=newest().size).order_by("index")
            population.write(tmp_path / name, found, query="", signed=newest(), by=TESTER)

        def asks(self, what, *about):
            return check(capsys, what, *(tmp_path / one for one in about), "--trust", tmp_path / "trust.json")

        def lists(self, name, held):
            found = [tmp_path / name / "manifest.json", "--bundle", tmp_path / f"{held}.zip"]
            return check(capsys, "population", *found, "--trust", tmp_path / "trust.json")

    (tmp_path / "trust.json").write_bytes(checkpoint.trust(0))
    yield Auditor()
    shutil.rmtree(tmp_path)


def page(reader, path):
    """What the browser shows, in words."""
    answer = reader.client.get(path)
    assert answer.status_code == 200, (path, answer.status_code)
    return unescape(answer.content.decode())


def examined():
    report = examine.examine(checkpoint.keys())
    return report.first.text if report.first else ""


def texts(name, folder):
    return (folder / name / "entries.csv").read_text()


def test_an_entry_holds_a_commitment_and_the_text_lies_beside_it(room):
    entry = Entry.objects.get(kind="kill_switch.thrown")
    body = parse(bytes(entry.body))
    assert (body["v"], "reason" in body["data"], list(body["sd"])) == (2, False, ["data.reason"])
    assert b"Ravi" not in bytes(entry.body)
    assert openings.data(entry)["reason"] == "Ravi Rao is drunk."
    assert [entry.kind for entry in Entry.objects.all() if b"Ravi" in bytes(entry.body)] == []


def test_g06_what_was_typed_is_erased_and_everything_that_was_taken_before_and_after_verifies(
    room, node, auditor, tmp_path
):
    auditor.takes("before")
    erased = ["change.commented", "kill_switch.thrown"]
    change = room.erases(node, *erased)
    auditor.takes("after")
    assert not Opening.objects.filter(value__contains="mother").exists()
    assert [Comment.objects.get().text, openings.data(Entry.objects.get(kind=erased[0]))["text"]] == [
        ERASED
    ] * 2
    assert examined() == ""
    for name, held in (("before", 2), ("after", 0)):
        code, said = auditor.asks("bundle", f"{name}.zip")
        assert (code, "texts are what their entries committed to" in said) == (0, True), said
        assert said.count("that are not here") == (not held), said
        assert texts(name, tmp_path).count("Ravi Rao") == held + 1  # what was signed off with it stays
        code, said = auditor.lists(name, name)
        assert code == 0, said
    told = [parse(bytes(one.body))["data"] for one in Entry.objects.filter(kind="privacy.erased")]
    people = sorted(str(room.bank.user(name).person_id) for name in ("noor", "sam"))
    assert {(one["basis"], one["change"], one["asked_by"]) for one in told} == {
        (BASIS, change.key, str(room.bank.user("mara").pk))
    }
    assert [one["agreed"] for one in told] == [people] * 2
    assert all(one["erased"] for one in told)


def test_what_was_erased_says_so_on_pages_and_in_the_api(room, node):
    numbers = [room.number("change.commented"), room.number("kill_switch.thrown")]
    reader = Browser(room.bank, "noor")
    permissions.open_log(room.bank.teams["security"], by=TEST)
    assert TYPED in page(reader, f"/audit/{numbers[0]}/")
    room.erases(node, "change.commented", "kill_switch.thrown")
    for path in (
        f"/audit/{numbers[0]}/",
        f"/audit/{numbers[1]}/",
        f"/changes/{room.change.key}/",
        "/kill-switches/",
    ):
        shown = page(reader, path)
        assert (ERASED in shown, "mother" in shown, "drunk" in shown) == (True, False, False), path
    answer = reader.get(f"changes/{room.change.key}/timeline/").json()
    assert "mother" not in json.dumps(answer)


def test_whoever_typed_it_never_agrees_that_it_is_erased(room):
    change = room.asks("change.commented")
    assert str(room.bank.user("jonas").person_id) in map(str, change.revision.chain.conflicted)


def test_one_person_who_agrees_is_not_enough(room, node):
    alone = room.bank.change(environment="staging")
    room.bank.say(alone, "jonas")
    run(alone, node)
    with pytest.raises(erasing.TooFewAgreed, match="2 people have to agree, and 1 did"):
        erasing.agreed(alone)


def test_a_comment_with_which_something_may_still_start_is_held(room):
    with pytest.raises(Invalid) as held:
        room.asks("sign_off.given")
    assert "may still start" in held.value.errors[0]["detail"]
    assert SignOff.objects.get().comment == "As Ravi Rao said."


@pytest.mark.parametrize("entries", ["0", "999999"])
def test_what_has_no_text_is_refused_at_its_field(room, entries):
    with pytest.raises(Invalid) as refused:
        ask(room.bank, "privacy-texts", entries=entries, basis=BASIS)
    assert refused.value.errors[0]["pointer"] == "/inputs/entries"


# --- behind the back of the act --------------------------------------------------------------------------------------


def test_a_text_that_vanished_without_an_act_is_found(room):
    as_insider("DELETE FROM audit_opening WHERE value = %s", TYPED)
    assert "no entry tells that it was erased" in examined()


def test_a_text_that_was_exchanged_is_found_and_no_statement_of_ours_exchanges_one(room, auditor):
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        Opening.objects.filter(value=TYPED).update(value="Ask somebody.")
    as_insider("UPDATE audit_opening SET value = 'Ask somebody.' WHERE value = %s", TYPED)
    assert "is not the one that it committed to" in examined()
    auditor.takes("forged")
    code, said = auditor.asks("bundle", "forged.zip")
    assert (code, "not the one that the entry committed to" in said) == (1, True), said


# --- names ------------------------------------------------------------------------------------------------------------


def erases_name(room, name):
    return ask(room.bank, "privacy-name", account=str(room.bank.user(name).pk), basis=BASIS)


def test_who_agreed_keeps_the_name_until_the_time_to_keep_evidence_is_over(room):
    with pytest.raises(Invalid) as active:
        erases_name(room, "jonas")
    teams.deactivate(room.bank.user("jonas"), by=TEST)
    with pytest.raises(Invalid) as held:
        erases_name(room, "jonas")
    details = [one.value.errors[0]["detail"] for one in (active, held)]
    assert ["active account" in details[0], "is evidence" in details[1]] == [True, True], details


def test_the_name_of_somebody_who_left_is_erased_everywhere_and_the_log_still_verifies(room, node, auditor):
    ravi = room.bank.user("ravi")
    teams.rename(ravi, name="Ravi Rao-Meier", by=TEST)
    teams.deactivate(ravi, by=TEST)
    change = erases_name(room, "ravi")
    agree(change, room.bank, "sam", "noor")
    assert run(change, node).state == C.SUCCEEDED
    sequence()
    ravi = User.objects.get(pk=ravi.pk)
    assert (ravi.name, Person.objects.get(pk=ravi.person_id).name) == (ERASED, ERASED)
    assert not any(table.objects.filter(actor=str(ravi.pk)).exists() for table in (ActorName, FormerName))
    assert not Opening.objects.filter(entry__stream=ravi.pk).exists()
    assert examined() == ""
    auditor.takes("after")
    assert auditor.asks("bundle", "after.zip")[0] == 0
    permissions.open_log(room.bank.teams["security"], by=TEST)
    shown = page(Browser(room.bank, "noor"), f"/audit/{room.number('kill_switch.thrown')}/")
    assert (ERASED in shown, "Ravi Rao-Meier" in shown) == (True, False)


def test_g04_an_actor_who_was_renamed_and_left_is_shown_with_both_names(room, auditor, tmp_path):
    jonas = room.bank.user("jonas")
    was = jonas.name
    auditor.takes("before")
    teams.rename(jonas, name="Jonas Neumann", by=TEST)
    teams.deactivate(jonas, by=TEST)
    sequence()
    auditor.takes("after")
    rows = {name: texts(name, tmp_path) for name in ("before", "after")}
    assert (rows["before"].count(f",{was},") > 0, "Neumann" in rows["before"]) == (True, False)
    assert f'"{was}, now Jonas Neumann"' in rows["after"]
    assert rows["after"].count(str(jonas.pk)) >= rows["before"].count(str(jonas.pk))
    permissions.open_log(room.bank.teams["security"], by=TEST)
    reader = Browser(room.bank, "noor")
    assert f"{was}, now Jonas Neumann" in page(reader, f"/changes/{room.change.key}/")
    assert f"{was}, now Jonas Neumann" in page(reader, "/audit/?q=kind:sign_off.given")
    listed = reader.get("audit/entries/", kind="sign_off.given").json()["results"][0]
    assert (listed["actor_name"], listed["actor_name_now"]) == (was, "Jonas Neumann")
    assert auditor.lists("after", "after")[0] == 0
