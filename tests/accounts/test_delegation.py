"""Lending one's place while away: by oneself, to somebody else, for a time, and never passed on."""

from datetime import UTC, datetime, timedelta
from threading import Barrier, Thread

import pytest
from django.db import IntegrityError, connection

from accounts import delegation, teams
from accounts.acting import Acting
from accounts.bearer import SessionOnly
from accounts.models import Delegation
from audit.canonical import parse
from audit.models import Entry
from audit.refusals import Invalid, NotAllowed
from tests.accounts.cast import TEST, issue, kinds, person, team
from tests.approvals.cast import sql

pytestmark = pytest.mark.django_db(transaction=True)
DAY = timedelta(days=1)


@pytest.fixture
def cast():
    return {name: person(name, "security") for name in ("Sam", "Lena", "Dora")}


def lend(of, to, *slugs, begins=None, lasts=7 * DAY, **changed):
    """From now, or from so far ahead."""
    now = datetime.now(UTC)
    given = {
        "delegate": to.username,
        "teams": slugs,
        "starts_at": now + begins if begins else None,
        "ends_at": now + (begins or DAY * 0) + lasts,
        "by": Acting(of, "session"),
        **changed,
    }
    return delegation.start(**given)


def test_starting_and_ending_leave_one_entry_each_and_the_reason_stays_out_of_the_log(cast):
    lent = lend(cast["Sam"], cast["Lena"], "security", reason="In hospital")
    delegation.end(lent, by=Acting(cast["Sam"], "session"))
    assert kinds()[-2:] == ["delegation.started", "delegation.ended"]
    entry = Entry.objects.get(kind="delegation.started")
    assert entry.actor == str(cast["Sam"].pk)
    assert parse(bytes(entry.body))["data"]["teams"] == [str(team("security").pk)]
    assert b"hospital" not in bytes(entry.body)


@pytest.mark.parametrize(
    ("changed", "pointer"),
    [
        ({"delegate": "nobody"}, "/delegate"),
        ({"delegate": "sam"}, "/delegate"),
        ({"delegate": "gone"}, "/delegate"),
        ({"delegate": "ci"}, "/delegate"),
        ({"delegate": "sam2"}, "/delegate"),
        ({"teams": ["payments"]}, "/teams"),
        ({"lasts": 91 * DAY}, "/ends_at"),
        ({"lasts": -DAY}, "/ends_at"),
        ({"begins": -2 * DAY, "lasts": 5 * DAY}, "/starts_at"),
        ({"ends_at": datetime(2099, 1, 1)}, "/starts_at"),  # noqa: DTZ001 - a time without its offset
        ({"reason": "x" * 501}, "/reason"),
        ({"reason": "a\nb"}, "/reason"),
    ],
)
def test_b11_it_is_lent_to_an_active_person_who_is_somebody_else_for_at_most_ninety_days(
    cast, changed, pointer
):
    sam = cast["Sam"]
    teams.deactivate(person("Gone"), by=TEST)
    teams.create_service_account(username="ci", name="CI", person=cast["Lena"].person, by=TEST)
    second = person("Sam2")
    sql("UPDATE accounts_user SET person_id = %s WHERE id = %s", sam.person_id, second.pk)
    with pytest.raises(Invalid) as refused:
        lend(sam, cast["Lena"], **changed)
    assert refused.value.errors[0]["pointer"] == pointer
    assert not Delegation.objects.exists()


def test_nobody_lends_through_a_token(cast):
    by = Acting(cast["Sam"], "token", token=issue(cast["Sam"], "changes:write").token)
    with pytest.raises(SessionOnly):
        lend(cast["Sam"], cast["Lena"], by=by)


def test_b11_two_do_not_lend_to_each_other(cast):
    lend(cast["Sam"], cast["Lena"])
    with pytest.raises(delegation.DelegationPassedOn, match="You decide for Sam"):
        lend(cast["Lena"], cast["Sam"])


def test_b11_what_is_held_is_not_lent_on_and_who_is_away_holds_nothing(cast):
    lend(cast["Sam"], cast["Lena"])
    with pytest.raises(delegation.DelegationPassedOn, match="You decide for Sam"):
        lend(cast["Lena"], cast["Dora"])
    with pytest.raises(delegation.DelegationPassedOn, match="Sam is away"):
        lend(cast["Dora"], cast["Sam"])


def test_at_another_time_the_same_two_may_change_places(cast):
    lend(cast["Sam"], cast["Lena"])
    lend(cast["Lena"], cast["Sam"], begins=8 * DAY)
    assert Delegation.objects.standing().count() == 2


def test_a_team_has_one_delegate_at_a_time(cast):
    teams.join(team("payments"), cast["Sam"], by=TEST)
    lend(cast["Sam"], cast["Lena"], "security")
    with pytest.raises(delegation.DelegationOverlaps, match="Lena decides for you"):
        lend(cast["Sam"], cast["Dora"], "security", begins=DAY)
    with pytest.raises(delegation.DelegationOverlaps):
        lend(cast["Sam"], cast["Dora"])
    lend(cast["Sam"], cast["Dora"], "payments")


@pytest.mark.parametrize("who", ["Sam", "Lena"])
def test_either_of_the_two_ends_it_and_nobody_else(cast, who):
    lent = lend(cast["Sam"], cast["Lena"])
    with pytest.raises(NotAllowed):
        delegation.end(lent, by=Acting(cast["Dora"], "session"))
    delegation.end(lent, by=Acting(cast[who], "session"))
    with pytest.raises(delegation.DelegationOver):
        delegation.end(lent, by=Acting(cast[who], "session"))
    assert not Delegation.objects.standing().exists()


def test_b11_two_that_would_make_a_circle_take_turns(cast):
    barrier, refused = Barrier(2), []

    def go(of, to):
        barrier.wait()
        try:
            lend(cast[of], cast[to])
        except delegation.DelegationPassedOn as refusal:
            refused.append(refusal)
        finally:
            connection.close()

    both = [Thread(target=go, args=pair) for pair in (("Sam", "Lena"), ("Lena", "Sam"))]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert (Delegation.objects.count(), len(refused)) == (1, 1)


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("UPDATE accounts_delegation SET ends_at = starts_at + interval '91 days'", "delegation_in_its_box"),
        ("UPDATE accounts_delegation SET ends_at = starts_at", "delegation_has_a_length"),
        ("UPDATE accounts_delegation SET delegate_id = delegator_id", "delegation_to_another"),
    ],
)
def test_the_database_keeps_the_box(cast, statement, rule):
    lend(cast["Sam"], cast["Lena"])
    with pytest.raises(IntegrityError, match=rule):
        sql(statement)


def test_the_database_dates_a_membership(cast):
    assert cast["Sam"].memberships.get().since <= datetime.now(UTC)
    assert Delegation.objects.holding().count() == 0
