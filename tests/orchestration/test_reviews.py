"""The review of an emergency: it opens by itself, and only two people who took no part close it."""

from datetime import timedelta

import pytest
from django.db import transaction
from django.test import Client

from accounts import delegation, permissions, teams
from accounts.acting import Acting
from approvals.clock import database_time
from audit.models import Entry
from audit.refusals import Invalid, NotAllowed, NotFound
from orchestration import asking, changes, notices, reviewing
from orchestration.definitions.digest import Emergency
from orchestration.engine import invariants, reconcile
from orchestration.models import Change, Review
from orchestration.pages import glass
from orchestration.reviews import ReviewClosed, TookPart
from tests.factories import TEST, Bank
from tests.orchestration.deeds import ended, holding

INCIDENT = Emergency("INC-77")
SAID = "It was one, and it did what was signed."


@pytest.fixture
def bank(transactional_db) -> Bank:
    bank = Bank()
    for name in ("olga", "pavel"):
        user = teams.create_person(username=name, name=name.title(), by=TEST)
        teams.join(bank.teams["security"], user, by=TEST)
        bank.people[name] = Acting(user, "session")
    return bank


def over(bank, state="succeeded", **asked):
    """An emergency that Jonas and Noor agreed to, and that ran."""
    change = bank.approved(**{"emergency": INCIDENT, **asked})
    ended(holding(change.runs.get().steps.get()), state)
    return Change.objects.get(pk=change.pk)


def conclude(bank, change, who, text=SAID):
    return reviewing.conclude(change, text=text, by=bank.people[who])


def lend(bank, who, to):
    """`who` is away, and `to` decides for them."""
    now = database_time()
    return delegation.start(
        delegate=to, teams=[], starts_at=now, ends_at=now + timedelta(days=1), by=bank.people[who]
    )


def strips(bank, who="mara"):
    return [one["state"] for one in glass.seen_by(bank.user(who))]


@pytest.mark.parametrize("state", ["succeeded", "failed"])
def test_i14_a_review_opens_with_the_end_of_the_run(bank, state):
    change = over(bank, state)
    review = Review.objects.get(change=change)
    assert review.due_at - review.opened_at == timedelta(days=5)
    assert Entry.objects.filter(kind="review.opened", subject=change.key).count() == 1
    assert invariants.violations()["I14_emergency_without_review"] == 0


def test_i14_an_emergency_that_expired_is_reviewed_too(bank):
    change = bank.change(emergency=INCIDENT)
    with transaction.atomic():
        reconcile.expire(Change.objects.get(pk=change.pk))
    assert Review.objects.filter(change=change).exists()


def test_i14_one_that_was_stopped_before_its_start_is_reviewed_too(bank):
    change = bank.approved(emergency=INCIDENT)
    changes.cancel(change, by=bank.people["mara"])
    assert Review.objects.filter(change=change).exists()


def test_a_normal_change_leaves_no_review(bank):
    change = over(bank, emergency=None)
    assert not Review.objects.exists()
    with pytest.raises(NotFound):
        conclude(bank, change, "olga")


def test_d12_two_people_who_took_no_part_close_it(bank):
    change = over(bank)
    assert conclude(bank, change, "olga").closed_at is None
    with pytest.raises(ReviewClosed, match="somebody else"):
        conclude(bank, change, "olga")
    assert conclude(bank, change, "pavel").closed_at is not None
    assert Entry.objects.filter(kind="review.closed").count() == 1
    with pytest.raises(ReviewClosed):
        conclude(bank, change, "ines")


@pytest.mark.parametrize("who", ["mara", "jonas", "noor"])
def test_d12_who_asked_or_decided_does_not_review(bank, who):
    change = over(bank)
    with pytest.raises(TookPart):
        conclude(bank, change, who)


def test_d12_who_took_an_approval_back_does_not_review(bank):
    change = bank.change(emergency=INCIDENT)
    bank.say(change, "ines")
    given = asking.current_revision(change).chain.sign_offs.get()
    changes.withdraw_sign_off(change, given.pk, by=bank.people["ines"])
    bank.say(change, "jonas")
    bank.say(change, "noor")
    ended(holding(Change.objects.get(pk=change.pk).runs.get().steps.get()))
    with pytest.raises(TookPart):
        conclude(bank, change, "ines")


def test_d12_somebody_in_whose_place_was_decided_does_not_review(bank):
    lend(bank, "ines", "pavel")
    teams.leave(bank.teams["security"], bank.user("pavel"), by=TEST)
    teams.join(bank.teams["payments"], bank.user("pavel"), by=TEST)
    change = bank.change(emergency=INCIDENT)
    bank.say(change, "jonas")
    security = asking.current_revision(change).chain.stages.get(name="Security").pk
    bank.say(change, "pavel", stage=security)
    ended(holding(Change.objects.get(pk=change.pk).runs.get().steps.get()))
    with pytest.raises(TookPart):
        conclude(bank, change, "ines")


@pytest.mark.parametrize("who", ["mara", "jonas"])
def test_d12_the_deputy_of_somebody_who_took_part_does_not_review(bank, who):
    change = over(bank)
    lent = lend(bank, who, "olga")
    with pytest.raises(TookPart):
        conclude(bank, change, "olga")
    delegation.end(lent, by=bank.people[who])
    assert conclude(bank, change, "olga").closed_at is None


@pytest.mark.parametrize("act", [changes.start, changes.cancel])
def test_d12_who_started_or_stopped_it_does_not_review(bank, act):
    change = bank.approved(emergency=INCIDENT)
    act(change, by=bank.people["olga"])
    if act is changes.start:
        ended(holding(change.runs.get().steps.get()))
    with pytest.raises(TookPart):
        conclude(bank, change, "olga")


def test_a_second_account_of_who_took_part_does_not_review(bank):
    change = over(bank)
    bank.people["olga"].user.person = bank.user("noor").person
    with pytest.raises(TookPart):
        conclude(bank, change, "olga")


def test_who_may_not_sign_off_there_does_not_review(bank):
    change = over(bank)
    permissions.revoke(bank.teams["security"], "sign_off", bank.environment("production"), by=TEST)
    with pytest.raises(NotAllowed):
        conclude(bank, change, "olga")
    with pytest.raises(NotAllowed):  # an admin gets nothing without a grant
        conclude(bank, change, "sam")


def test_a_token_writes_no_conclusion(bank):
    change = over(bank)
    with pytest.raises(NotAllowed, match="in a browser"):
        reviewing.conclude(change, text=SAID, by=Acting(bank.user("olga"), "token"))


@pytest.mark.parametrize("text", ["", "  ", "x" * 4001, "a\x00b"])
def test_a_conclusion_says_something(bank, text):
    change = over(bank)
    with pytest.raises(Invalid):
        conclude(bank, change, "olga", text)


def test_the_strip_stays_until_the_review_is_closed_and_turns_when_it_is_overdue(bank):
    change = bank.change(emergency=INCIDENT)
    assert strips(bank) == ["break_glass"]
    bank.say(change, "jonas")
    bank.say(change, "noor")
    ended(holding(Change.objects.get(pk=change.pk).runs.get().steps.get()))
    assert strips(bank) == ["break_glass"]
    assert [one.kind for one in notices.of(bank.user("olga"))] == ["review"]
    assert [one.kind for one in notices.of(bank.user("noor"))] == []
    conclude(bank, change, "olga")
    assert notices.of(bank.user("olga")) == []
    conclude(bank, change, "pavel")
    assert strips(bank) == []


def test_a_strip_is_shown_to_whoever_may_see_the_change_and_to_nobody_else(bank):
    bank.change(emergency=INCIDENT)
    assert strips(bank, "ravi") == []
    assert strips(bank, "sam") == ["break_glass"]  # an admin sees everything


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("/environments/", "Glass is broken"),
        ("/inbox/", "Glass is broken"),
        ("/changes/{key}/", "Glass is broken"),
        ("/changes/", "Break-glass"),
    ],
)
def test_pages_say_that_the_glass_is_broken(bank, address, words):
    change = bank.change(emergency=INCIDENT)
    client = Client()
    client.force_login(bank.user("noor"))
    assert words in client.get(address.format(key=change.key)).content.decode()


def test_the_page_takes_a_conclusion_from_whoever_may_give_it(bank):
    change = over(bank)
    client = Client()
    client.force_login(bank.user("noor"))
    assert 'name="conclusion"' not in client.get(f"/changes/{change.key}/").content.decode()
    client.force_login(bank.user("olga"))
    assert 'name="conclusion"' in client.get(f"/changes/{change.key}/").content.decode()
    answer = client.post(f"/changes/{change.key}/review/", {"conclusion": SAID})
    assert answer.status_code == 302
    assert SAID in client.get(f"/changes/{change.key}/").content.decode()


def test_the_api_takes_it_and_shows_it(bank):
    change = over(bank)
    client = Client()
    client.force_login(bank.user("olga"))
    address = f"/api/v1/changes/{change.key}/review/"
    made = client.post(
        address, {"conclusion": SAID}, content_type="application/json", headers={"Idempotency-Key": "1"}
    )
    assert made.status_code == 201
    assert [one["text"] for one in client.get(address).json()["conclusions"]] == [SAID]
