"""Destinations: what it takes to make one, what an admin may do, and that a person hears of one that fails."""

import pytest
from django.db import connection

from audit.ledger import openings
from audit.models import Entry
from audit.refusals import Invalid, MoveNotAllowed, NotAllowed, StaleVersion
from config import doctor, probes
from orchestration import notices
from orchestration.actions import egress
from orchestration.governed.destinations import Create
from orchestration.models import Destination
from orchestration.outgoing import batches, destinations
from orchestration.secrets import store
from tests.audit.log import sequence
from tests.factories import TEST, Bank
from tests.orchestration.far import Told
from tests.orchestration.outgoing import PLACES, SETTINGS, lend_secrets, outside, pass_by
from tests.orchestration.test_governed import agree, ask, bank, node, run

pytestmark = pytest.mark.django_db(transaction=True)
__all__ = ["bank", "node"]  # fixtures
ASKED = {
    "name": "siem",
    "kind": "webhook",
    "url": "https://siem.bank.example/events",
    "secret": "platform/siem",
}

DEFAULTS = {name: rule["default"] for name, rule in Create.inputs.items() if "default" in rule}


def row():
    return Destination.objects.get()


def said(kind):
    return openings.data(Entry.objects.filter(kind=kind).latest("id"))


def failing(monkeypatch, status=500):
    return outside(monkeypatch, lambda _: Told(status))


# --- making one takes others ---------------------------------------------------------------------------------------


@pytest.fixture
def lent(bank):
    """The bank with all governed acts, and a secret that destinations may use."""
    store.create(path="platform/siem", owner=bank.teams["platform"], scope=PLACES, by=bank.people["sam"])
    return bank


def test_entries_leave_only_once_others_have_agreed_and_the_same_others_edit_and_end_it(lent, node):
    change = ask(lent, "destination-create", **ASKED, kinds="change.* sign_off.given")
    agree(change, lent, "sam")
    assert not Destination.objects.exists()
    agree(change, lent, "noor")
    assert run(change, node).state == "succeeded"
    assert (row().kinds, row().batch, row().names, row().position) == (
        ["change.*", "sign_off.given"], 1, False, batches.sealed(),
    )  # fmt: skip
    assert said("destination.created")["url"] == ASKED["url"]
    assert Entry.objects.get(kind="destination.created").actor == f"change:{change.key}"
    edited = {"name": "siem", "url": "https://other.bank.example/", "secret": "platform/siem", "batch": 50}
    change = ask(lent, "destination-edit", **edited)
    agree(change, lent, "sam", "noor")
    assert run(change, node).state == "succeeded"
    assert (row().url, row().kinds, row().batch) == ("https://other.bank.example/", ["*"], 50)
    change = ask(lent, "destination-end", name="siem")
    agree(change, lent, "sam", "noor")
    assert run(change, node).state == "succeeded"
    assert row().stands == "ended"


@pytest.mark.parametrize(
    ("changed", "field", "words"),
    [
        ({"url": "https://siem.bank.example/?token=x"}, "url", "without a query"),
        ({"url": "https://user:word@siem.bank.example/"}, "url", "address"),
        ({"url": "file:///etc/passwd"}, "url", "address"),
        ({"url": "http://siem.bank.example/"}, "url", "in the clear"),
        ({"url": "http://127.0.0.1:8000/"}, "url", "in the clear"),
        ({"kinds": "change"}, "kinds", "Name kinds"),
        ({"kinds": " "}, "kinds", "Name kinds"),
        ({"secret": ""}, "secret", "is signed"),
        ({"secret": "payments/other"}, "secret", "There is no secret"),
    ],
)
def test_what_cannot_be_a_destination_is_refused_before_anybody_is_asked(rolled_bank, changed, field, words):
    given = {**DEFAULTS, **ASKED, **changed}
    assert words in Create().faults(given)[field]
    assert Create().faults({**DEFAULTS, **ASKED}) == {}


@pytest.fixture
def rolled_bank(db, monkeypatch):
    monkeypatch.delenv(egress.ALLOWED, raising=False)
    bank = Bank()
    lend_secrets(bank.teams["platform"], by=bank.people["sam"])
    return bank


def test_a_second_one_of_the_same_name_is_refused_and_after_its_end_it_is_not(rolled_bank):
    about = {"kind": "webhook", **SETTINGS, "url": ASKED["url"]}
    first = destinations.create(name="siem", from_beginning=True, by=TEST, **about)
    assert first.position == 0
    with pytest.raises(destinations.DestinationExists):
        destinations.create(name="siem", from_beginning=True, by=TEST, **about)
    assert Create().faults({**DEFAULTS, **ASKED})["name"] == "There is a destination of this name."
    destinations.end(first, by=TEST)
    destinations.create(name="siem", from_beginning=True, by=TEST, **about)
    with pytest.raises(StaleVersion):
        destinations.edit(first, by=TEST, **{**SETTINGS, "url": ASKED["url"]})


def test_an_edit_sends_again_by_what_holds_now(monkeypatch):
    with failing(monkeypatch) as out:
        out.destination()
        out.write()
        out.turn()
        held = row()
        assert held.until is not None
        destinations.edit(held, by=TEST, **{**SETTINGS, "kinds": ["other.*"], "url": f"{out.server.url}/new"})
        assert row().until is None
        out.write(kind="other.thing")
        pass_by(minutes=1)
        out.server.answers = lambda _: Told(200)
        out.turn()
        assert [(one.path, one.json["type"]) for one in out.server.asked[1:]] == [
            ("/new", "dev.countersign.other.thing")
        ]


def test_what_is_under_way_when_it_ends_changes_nothing(monkeypatch):
    def ends(_):
        destinations.end(row(), by=TEST)
        connection.close()
        return Told(200)

    with outside(monkeypatch, ends) as out:
        out.destination()
        out.write(2)
        assert out.turn() == 1
        assert (row().stands, row().delivered_at) == ("ended", None)
        assert out.turn() == 0


# --- what an admin does ---------------------------------------------------------------------------------------------


def test_a_test_event_is_an_entry_that_takes_the_way_of_the_others(monkeypatch):
    with outside(monkeypatch) as out:
        out.destination(kinds=["nothing.at_all"])
        out.destination("other", kinds=["nothing.at_all"])
        destinations.test(Destination.objects.get(name="siem"), by=out.sam)
        sequence()
        out.turn()
        assert [one.json["subject"] for one in out.server.asked] == ["destination:siem"]
        assert out.server.asked[0].json["type"] == "dev.countersign.destination.tested"


def test_skipping_passes_over_what_does_not_arrive_and_the_gap_is_seen(monkeypatch):
    with failing(monkeypatch, 400) as out:
        out.destination(batch=2)
        out.write(5)
        out.turn()
        destinations.skip(row(), reason="Their parser breaks on these.", by=out.sam)
        out.server.answers = lambda _: Told(200)
        sequence()
        assert out.turn() == 2
        lost = out.told[0][1]
        arrived = [one for _, found in out.told[1:] for one in found]
        assert arrived[0] == lost[-1] + 1
        assert len(arrived) == 3
        assert int(out.server.asked[1].json[0]["previous"]) == lost[-1]
        assert {name: said("destination.skipped")[name] for name in ("first", "last", "entries", "reason")} == {
            "first": lost[0], "last": lost[1], "entries": 2, "reason": "Their parser breaks on these.",
        }  # fmt: skip


def test_trying_again_does_not_wait(monkeypatch):
    with failing(monkeypatch) as out:
        out.destination()
        out.write()
        out.turn()
        assert out.turn() == 0
        destinations.resume(row(), reason="Repaired.", by=out.sam)
        assert out.turn() == 1
        assert out.told[0] == out.told[1]
        assert row().attempts == 1


def test_only_an_admin_acts_only_on_what_fails_and_only_with_a_reason(monkeypatch):
    with failing(monkeypatch, 410) as out:
        one = out.destination()
        for act in (destinations.resume, destinations.skip):
            with pytest.raises(MoveNotAllowed, match="nothing failed"):
                act(one, reason="Why not.", by=out.sam)
        out.write()
        out.turn()
        with pytest.raises(MoveNotAllowed, match="given up"):
            destinations.test(row(), by=out.sam)
        for act in (destinations.resume, destinations.skip):
            with pytest.raises(Invalid, match="Say why"):
                act(row(), reason="  ", by=out.sam)
        out.sam.user.is_superuser = False
        for act in (destinations.resume, destinations.skip):
            with pytest.raises(NotAllowed):
                act(row(), reason="I may not.", by=out.sam)
        with pytest.raises(NotAllowed):
            destinations.test(row(), by=out.sam)
        assert (row().stands, row().version) == ("given_up", 2)


def test_who_skips_what_has_arrived_meanwhile_skips_nothing(monkeypatch):
    with failing(monkeypatch) as out:
        out.destination()
        out.write(2)
        out.turn()
        seen = row()
        out.server.answers = lambda _: Told(200)
        pass_by(minutes=1)
        out.turn()
        with pytest.raises(StaleVersion):
            destinations.skip(seen, reason="It is stuck.", by=out.sam)


# --- who hears of it and who sees it ---------------------------------------------------------------------------------


def test_f36_a_dead_letter_is_in_the_inbox_of_admins_in_the_gauges_and_in_what_the_doctor_says(monkeypatch):
    with failing(monkeypatch, 410) as out:
        out.destination()
        out.write(3)
        assert [one.verdict for one in doctor._destinations()] == []
        out.turn()
        (notice,) = notices.of(out.sam.user)
        assert (notice.key, notice.url) == ("siem", f"/admin/destinations/{row().pk}/")
        assert notice.words == "it was given up, 4 entries behind"
        assert notice.text == "It answered with status 410: it takes nothing more."
        out.sam.user.is_superuser = False
        assert notices.of(out.sam.user) == []
        assert probes.sending().values == {"active": 0, "failing": 0, "given_up": 1}
        assert probes.behind().values == {"siem": 4}
        (finding,) = doctor._destinations()
        assert "siem: it was given up, 4 entries behind. It answered with status 410" in finding.says
        out.sam.user.is_superuser = True
        destinations.resume(row(), reason="Repaired.", by=out.sam)
        assert notices.of(out.sam.user) == []
