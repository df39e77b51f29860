"""Who leaves takes their approval with them: shown at once, asked again within seconds, refused by the gate anyway."""

import pytest

from accounts import delegation, teams
from accounts.acting import Acting
from accounts.models import Delegation, Team, User
from approvals import chain as chains
from audit.canonical import parse
from audit.models import Entry
from orchestration import asking
from orchestration.engine.reconcile import reconcile
from orchestration.models import Change
from orchestration.pages import who
from tests.approvals.test_delegation import lend
from tests.orchestration.bank import TEST, Bank

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def bank():
    return Bank()


def approved(bank, security="noor"):
    change = bank.change()
    bank.say(change, "jonas", "Service owner")
    bank.say(change, security, "Security")
    return Change.objects.get(pk=change.pk)


def state(change):
    change.refresh_from_db()
    return change.state


def leave(bank, name, team):
    teams.leave(Team.objects.get(slug=team), bank.people[name].user, by=TEST)


def test_b09_an_approval_of_somebody_inactive_counts_no_more_and_the_change_asks_again(bank):
    change = approved(bank)
    assert reconcile()["lapsed"] == 0
    given = change.revision.chain.sign_offs.get(user=bank.people["noor"].user)
    teams.deactivate(bank.people["noor"].user, by=TEST)
    shown = {one.stage.name: one.given for one in chains.progress(change.revision.chain)}
    assert shown == {"Service owner": 1, "Security": 0}
    assert reconcile()["lapsed"] == 1
    assert state(change) == "waiting"
    told = parse(bytes(Entry.objects.get(kind="chain.reopened").body))["data"]
    assert told["lapsed"] == [str(given.pk)]
    assert (
        "counts no more"
        in parse(bytes(Entry.objects.filter(kind="change.waiting").latest("id").body))["data"]["why"]
    )


def test_after_somebody_left_a_colleague_can_approve_and_the_same_run_starts(bank):
    change = approved(bank)
    leave(bank, "jonas", "payments")
    reconcile()
    assert state(change) == "waiting"
    asked = Change.objects.waiting_on
    assert list(asked(bank.people["lena"].user)) == [change], "the inbox counts what counts"
    bank.say(change, "lena", "Service owner")
    assert state(change) == "approved"
    bank.run()
    assert change.runs.count() == 1


def test_one_who_left_without_being_needed_changes_nothing(bank):
    change = approved(bank)
    leave(bank, "lena", "payments")
    assert reconcile()["lapsed"] == 0
    assert state(change) == "approved"


def test_somebody_who_left_and_came_back_is_looked_at_and_counts(bank):
    change = approved(bank)
    leave(bank, "jonas", "payments")
    teams.join(Team.objects.get(slug="payments"), bank.people["jonas"].user, by=TEST)
    reconcile()
    assert state(change) == "approved"


def test_a_delegation_that_ended_takes_the_approval_with_it(bank):
    lena, noor = bank.people["lena"].user, bank.people["noor"].user
    lend(noor, lena)
    change = approved(bank, security="lena")
    delegation.end(Delegation.objects.get(), by=Acting(noor, "session"))
    reconcile()
    assert state(change) == "waiting"


def test_who_stands_in_for_the_requester_loses_their_approval(bank):
    change = approved(bank)
    lend(bank.people["mara"].user, bank.people["noor"].user)
    reconcile()
    assert state(change) == "waiting"


def test_a_run_that_has_started_goes_on(bank):
    change = approved(bank)
    bank.run()
    leave(bank, "jonas", "payments")
    assert reconcile()["lapsed"] == 0
    assert state(change) not in {"waiting", "approved"}


def test_b09_an_account_is_never_deleted(bank):
    with pytest.raises(Exception, match=r"never deleted|referenced"):
        User.objects.filter(username="noor").delete()


def test_the_delegate_finds_what_waits_in_their_inbox_and_only_while_it_lasts(bank):
    lena, noor = bank.people["lena"].user, bank.people["noor"].user
    change = bank.change()
    bank.say(change, "jonas", "Service owner")
    waiting = Change.objects.waiting_on
    assert not waiting(lena).exists()
    lent = lend(noor, lena)
    assert list(waiting(lena)) == [change]
    bank.say(change, "lena", "Security", decision="approve")
    assert not waiting(noor).exists()
    delegation.end(lent, by=Acting(noor, "session"))
    assert not waiting(lena).exists()


def test_b04_b05_the_page_says_who_cannot_approve_and_why(bank):
    """Whoever requested, edited, wrote the version, or stands in for one of them."""
    change = bank.change()
    lend(bank.people["mara"].user, bank.people["lena"].user)
    revision = asking.current_revision(Change.objects.get(pk=change.pk))
    assert who.conflicts(change, revision) == [("Mara", "requested it"), ("Lena", "stands in for Mara")]
