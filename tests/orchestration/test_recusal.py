"""A conflict of interest is a reviewer's own word: whoever says it counts no more, on no revision, by no deputy."""

import pytest

from accounts.acting import Acting
from approvals import gate
from approvals.models import Permit, Recusal
from approvals.recusal import AlreadyInConflict
from approvals.signoffs import OwnChange
from audit.canonical import parse
from audit.models import Entry
from audit.refusals import Invalid, MoveNotAllowed, NotAllowed, StaleVersion
from orchestration import asking, changes, reviewing, reviews
from orchestration.engine.reconcile import reconcile
from orchestration.models import Change, Run
from tests.accounts.cast import bearer, issue
from tests.approvals.cast import sql
from tests.approvals.test_delegation import lend
from tests.browser import Browser
from tests.factories import Bank
from tests.orchestration.deeds import claimed, ended, holding
from tests.orchestration.test_repeats import daily, only_step

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def bank():
    return Bank()


def recuse(bank, change, who, reason="My brother works for the vendor."):
    changes.recuse(Change.objects.get(pk=change.pk), reason=reason, by=bank.people[who])


def state(change):
    return Change.objects.get(pk=change.pk).state


def asks(bank, who):
    return list(Change.objects.waiting_on(bank.user(who)))


def stand_in(bank, absent, deputy):
    return lend(bank.user(absent), bank.user(deputy))


def test_whoever_says_it_is_asked_no_more_and_a_colleague_is(bank):
    change = bank.change()
    assert (asks(bank, "noor"), asks(bank, "ines")) == ([change], [change])
    recuse(bank, change, "noor")
    assert (asks(bank, "noor"), asks(bank, "ines")) == ([], [change])
    with pytest.raises(OwnChange, match="conflict of interest"):
        bank.say(change, "noor")
    bank.say(change, "jonas")
    bank.say(change, "ines")
    assert state(change) == "approved"


def test_its_words_stay_out_of_the_ledger_and_are_shown_to_whoever_sees_the_change(bank):
    change = bank.change()
    recuse(bank, change, "noor")
    told = Entry.objects.get(kind="chain.recused")
    assert parse(bytes(told.body))["data"]["person"] == str(bank.user("noor").person_id)
    assert b"brother" not in bytes(told.body)
    page = Browser(bank, "mara").client.get(f"/changes/{change.key}/").content.decode()
    assert "has a conflict of interest: My brother works for the vendor." in page


def test_what_they_had_signed_is_taken_back_and_an_approved_change_asks_again(bank):
    change = bank.approved()
    recuse(bank, change, "noor")
    assert state(change) == "waiting"
    assert Entry.objects.filter(kind="sign_off.withdrawn").count() == 1
    assert claimed(only_step(change.runs.get())) is None
    assert not Permit.objects.exists()
    assert asks(bank, "ines") == [change], "the stage is open again, for others"
    bank.say(change, "ines")
    assert holding(only_step(change.runs.get()))


def test_no_deputy_signs_for_them_and_what_one_signed_counts_no_more(bank):
    change = bank.change()
    stand_in(bank, "noor", "ines")
    bank.say(change, "jonas")
    bank.say(change, "ines")  # in her own place, while she stands in for Noor
    assert state(change) == "approved"
    recuse(bank, change, "noor")
    assert state(change) == "waiting"
    with pytest.raises(OwnChange, match="stand in"):
        bank.say(change, "ines")


def test_a_deputy_who_stands_in_later_takes_their_own_approval_along(bank):
    """The same for a recusal that is older than the delegation: the reconciler sees it."""
    change = bank.change()
    recuse(bank, change, "noor")
    bank.say(change, "jonas")
    bank.say(change, "ines")
    assert (state(change), reconcile()["lapsed"]) == ("approved", 0)
    stand_in(bank, "noor", "ines")
    assert (reconcile()["lapsed"], state(change)) == (1, "waiting")


def test_an_edit_does_not_end_it(bank):
    change = bank.change()
    recuse(bank, change, "noor")
    asked = asking.ask_again(
        Change.objects.get(pk=change.pk), inputs={"version": "43"}, reason="Better.", by=bank.people["mara"]
    )
    changes.revise(Change.objects.get(pk=change.pk), asked)
    change.refresh_from_db()
    assert bank.user("noor").person_id in change.revision.chain.conflicted
    assert (asks(bank, "noor"), asks(bank, "ines")) == ([], [change])
    with pytest.raises(AlreadyInConflict):
        recuse(bank, change, "noor")


def test_an_edit_that_was_judged_before_it_was_said_is_not_saved(bank):
    """Policy was asked while Noor still counted; her word came between."""
    change = bank.change()
    asked = asking.ask_again(
        Change.objects.get(pk=change.pk), inputs={"version": "43"}, reason="Better.", by=bank.people["mara"]
    )
    recuse(bank, change, "noor")
    with pytest.raises(StaleVersion, match="recused"):
        changes.revise(Change.objects.get(pk=change.pk), asked)


def test_it_is_said_once_before_the_start_and_with_a_reason(bank):
    change = bank.change()
    for reason in ("", "  ", "x" * 1001):
        with pytest.raises(Invalid):
            recuse(bank, change, "noor", reason)
    recuse(bank, change, "noor")
    with pytest.raises(AlreadyInConflict):
        recuse(bank, change, "noor")
    with pytest.raises(AlreadyInConflict):
        recuse(bank, change, "mara")
    bank.say(change, "jonas")
    bank.say(change, "ines")
    ended(holding(only_step(change.runs.get())))
    with pytest.raises(MoveNotAllowed):
        recuse(bank, change, "ines")
    assert Recusal.objects.count() == 1


def test_of_what_comes_back_it_may_be_said_and_withdrawn_between_two_times(bank):
    change = daily(bank)
    ended(holding(only_step(change.runs.get())))
    assert state(change) == "scheduled"
    recuse(bank, change, "noor")
    assert state(change) == "waiting"
    bank.say(change, "ines")
    assert state(change) == "scheduled"
    mine = asking.current_revision(Change.objects.get(pk=change.pk)).chain.sign_offs.get(
        user=bank.user("ines")
    )
    changes.withdraw_sign_off(Change.objects.get(pk=change.pk), mine.pk, by=bank.people["ines"])
    assert state(change) == "waiting"
    assert Run.objects.filter(change=change).count() == 2


def test_a_row_taken_out_by_sql_gives_no_approval_back(bank):
    """What was taken back stands in the ledger, whatever the tables say."""
    change = bank.approved()
    recuse(bank, change, "noor")
    sql("DELETE FROM approvals_recusal")
    sql("UPDATE approvals_signoff SET withdrawn_at = NULL, version = 1")
    sql("UPDATE approvals_chain SET state = 'complete'")
    sql("UPDATE orchestration_change SET state = 'approved'")
    assert claimed(only_step(change.runs.get())) is None
    assert "taken back" in only_step(change.runs.get()).held_reason
    assert gate.TakenBack.code == "gate_taken_back"


def test_who_took_no_part_because_of_it_reviews_no_emergency_either(bank):
    change = bank.change()
    recuse(bank, change, "noor")
    assert bank.user("noor").person_id in reviews.took_part(change)


def test_only_a_person_in_a_browser_who_may_sign_off_says_it_and_for_nobody_else(bank, client):
    change = bank.change()
    path = f"changes/{change.key}/recuse/"
    body = {"reason": "A share in the vendor."}
    assert Browser(bank, "ravi").post(path, body).status_code == 404
    assert Browser(bank, "noor").post(path, {**body, "person": "ines"}).status_code == 422
    token = bearer(issue(bank.user("noor"), "changes:read", "changes:write", "runs:write"))
    assert client.post(f"/api/v1/{path}", body, content_type="application/json", **token).status_code == 403
    with pytest.raises(NotAllowed):
        changes.recuse(change, reason="x", by=Acting(bank.user("noor"), "token"))
    assert not Recusal.objects.exists()
    answer = Browser(bank, "noor").post(path, body)
    assert (answer.status_code, Recusal.objects.get().user) == (200, bank.user("noor"))


def test_the_page_offers_it_to_whom_it_asks_and_to_who_has_decided(bank):
    change = bank.change()
    url = f"/changes/{change.key}/"
    noor = Browser(bank, "noor").client
    assert b"I have a conflict of interest" in noor.get(url).content
    assert b"I have a conflict of interest" not in Browser(bank, "mara").client.get(url).content
    bank.say(change, "noor")
    page = noor.get(url).content.decode()
    assert "Your approval is taken back" in page
    assert noor.post(f"{url}recuse/", {"reason": "A share."}).status_code == 302
    page = noor.get(url).content.decode()
    assert "I have a conflict of interest" not in page
    assert "takes no part" in page


def test_nobody_who_said_it_closes_an_obligation_or_is_handed_a_stage(bank):
    change = bank.change()
    bank.say(change, "jonas", "approve_with_condition", condition="Watch it.")
    recuse(bank, change, "noor")
    chain = asking.current_revision(change).chain
    with pytest.raises(NotAllowed):
        reviewing.close_obligation(change, chain.obligations.get().pk, note="Met.", by=bank.people["noor"])
    given = {"stage": chain.stages.get(name="Security").pk, "to": bank.user("noor").pk, "note": ""}
    with pytest.raises(Invalid):
        reviewing.hand_over(change, **given, by=bank.people["ines"])
