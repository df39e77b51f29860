"""What is still to be done: who sets it, who closes it, and that it is owed no longer than what it stands on."""

import pytest
from django.db import transaction

from accounts.acting import Acting
from approvals import chain as chains
from approvals import obligations, permit, signoffs
from approvals.models import Obligation
from approvals.obligations import ObligationClosed, OwnObligation
from approvals.policy import bundles
from audit.canonical import parse, uuid7
from audit.models import Entry
from audit.refusals import Invalid, NotAllowed, NotFound
from tests.approvals.cast import STARTER, TEST, authorise, become, join, leave, person, sign
from tests.approvals.test_delegation import lend

WATCH = """
# METADATA
# title: Watch it
# custom:
#   rule: watch
obligations contains {"rule": "watch", "message": "Watch the dashboards for an hour."} if { input.api == "v1" }
"""
NOTE = "The dashboard was quiet all night."


def conditioned(bank):
    """A chain on which Ines has approved with a condition."""
    chain = bank.chain()
    sign(chain, bank.ines, "Service owner", "approve_with_condition", condition="Watch the dashboard.")
    return chain, Obligation.objects.get()


def close(chain, row, user, *, note=NOTE, **by):
    with transaction.atomic():
        return obligations.close(chain, row.pk, note=note, by=Acting(user, **{"auth": "session", **by}))


def test_a_condition_becomes_an_obligation_and_its_words_stay_out_of_the_ledger(bank):
    _, row = conditioned(bank)
    assert (row.text, row.state, row.set_by) == ("Watch the dashboard.", "open", "Ines")
    entry = bytes(Entry.objects.get(kind="obligation.opened").body)
    assert parse(entry)["data"]["sign_off"] == str(row.sign_off_id)
    assert b"dashboard" not in entry


def test_a_plain_approval_leaves_no_obligation(bank):
    sign(bank.chain(), bank.ines, "Service owner")
    assert not Obligation.objects.exists()


def test_what_policy_wants_done_is_open_from_the_start_and_set_by_the_policy(bank):
    sources = {path.name: path.read_text() for path in STARTER.glob("*.rego")}
    sources["notes.rego"] = sources["notes.rego"].replace("obligations := []", WATCH)
    bundles.activate(bundles.examine(sources), source="test", by=TEST)
    chain = bank.chain()
    row = chain.obligations.get()
    assert (row.state, row.set_by, row.rule.partition(":")[0]) == ("open", "", "notes.rego")
    assert Entry.objects.get(kind="obligation.opened").actor == "system:policy"


@pytest.mark.parametrize("who", ["ines", "omar", "sam"])
def test_whoever_set_it_or_somebody_else_who_may_decide_closes_it(bank, who):
    chain, row = conditioned(bank)
    closed = close(chain, row, getattr(bank, who))
    assert (closed.state, closed.closed_by, closed.note) == ("closed", getattr(bank, who), NOTE)
    entry = bytes(Entry.objects.get(kind="obligation.closed").body)
    assert b"quiet" not in entry
    assert parse(entry)["data"]["person"] == str(getattr(bank, who).person_id)


def test_whoever_owes_it_never_says_that_it_is_met(bank):
    chain, row = conditioned(bank)
    join(bank.noor, "security")
    second = person("Noor Two", "payments", of=bank.noor.person)
    for account in (bank.noor, second):
        with pytest.raises(OwnObligation):
            close(chain, row, account)
    become(bank.ines, bank.noor.person)  # the giver turns out to be the requester
    with pytest.raises(OwnObligation):
        close(chain, row, bank.ines)
    assert Obligation.objects.get().state == "open"


def test_an_outsider_a_token_and_a_service_account_close_nothing(bank):
    chain, row = conditioned(bank)
    robot = person("Robot", "payments", kind="service")
    for user, auth in ((person("Out", "elsewhere"), "session"), (bank.omar, "token"), (robot, "session")):
        with pytest.raises(NotAllowed):
            close(chain, row, user, auth=auth)
    leave(bank.omar, "payments")
    with pytest.raises(NotAllowed):
        close(chain, row, bank.omar)
    assert not Entry.objects.filter(kind="obligation.closed").exists()


@pytest.mark.parametrize("note", ["", " \n", "x" * 4001])
def test_closing_needs_a_note_of_a_sensible_length(bank, note):
    chain, row = conditioned(bank)
    with pytest.raises(Invalid) as refused:
        close(chain, row, bank.omar, note=note)
    assert refused.value.errors[0]["pointer"] == "/note"


def test_an_obligation_is_closed_once(bank):
    chain, row = conditioned(bank)
    close(chain, row, bank.omar)
    with pytest.raises(ObligationClosed):
        close(chain, row, bank.sam)
    assert Entry.objects.filter(kind="obligation.closed").count() == 1


def test_an_obligation_of_another_chain_is_not_found(bank):
    chain, row = conditioned(bank)
    for other, pk in ((bank.chain(digest="sha256:" + "c" * 64), row.pk), (chain, uuid7())):
        with pytest.raises(NotFound), transaction.atomic():
            obligations.close(other, pk, note=NOTE, by=Acting(bank.omar, "session"))


def test_a_sign_off_that_is_withdrawn_takes_its_condition_with_it(bank):
    chain, row = conditioned(bank)
    with transaction.atomic():
        signoffs.withdraw(row.sign_off_id, by=Acting(bank.ines, "session"))
    assert Obligation.objects.get().state == "void"
    assert not Obligation.objects.owed().exists()
    with pytest.raises(ObligationClosed):
        close(chain, row, bank.omar)


def test_a_chain_that_is_void_owes_nothing(bank):
    chain, _ = conditioned(bank)
    with transaction.atomic():
        chains.void(chain, by=TEST, why="edited")
    assert Obligation.objects.get().state == "void"
    assert not Obligation.objects.owed().exists()


def test_an_open_obligation_holds_back_no_run_and_the_permit_names_it(bank):
    chain, row = conditioned(bank)
    sign(chain, bank.sam, "Security")
    document = permit.read(authorise(chain))
    assert document is not None
    assert document["obligations"] == [str(row.pk)]
    assert close(chain, row, bank.omar).state == "closed"


def test_whoever_stands_in_for_the_requester_does_not_say_that_it_is_met(bank):
    chain, row = conditioned(bank)
    lend(bank.noor, bank.ines)
    with pytest.raises(OwnObligation):
        close(chain, row, bank.ines)
    assert not obligations.may_close(row, bank.ines)
