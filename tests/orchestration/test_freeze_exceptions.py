"""One change starts through a freeze when others agreed to that, for a while; everything else stays frozen."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils import timezone

from approvals import exempt
from approvals.exempt import ExceptionEnded
from approvals.models import Freeze, FreezeException, Permit
from approvals.signoffs import OwnChange
from audit.canonical import parse
from audit.models import Entry
from audit.refusals import Invalid, NotAllowed
from orchestration import asking, changes, notices
from orchestration.models import Change, Step
from tests.approvals.cast import sql
from tests.browser import Browser
from tests.orchestration.deeds import claimed, ended, holding
from tests.orchestration.test_calendar_pages import DAY, HOUR, make
from tests.orchestration.test_governed import C, agree, ask, bank, node, run
from tests.orchestration.test_repeats import only_step

pytestmark = pytest.mark.django_db(transaction=True)
__all__ = ["bank", "node"]


@pytest.fixture
def held(bank):
    return make(bank, ends=2 * DAY)


def until(span=HOUR):
    return f"{timezone.now() + span:%Y-%m-%dT%H:%M}"


def named(change):
    change = Change.objects.select_related("revision").get(pk=change.pk)
    return f"{change.key}/{change.revision.number}"


def excepted(bank, node, held, change, span=HOUR):
    """Asked for by Jonas, agreed to, run."""
    act = ask(bank, "freeze-except", by="jonas", **given(held, change, until=until(span)))
    agree(act, bank, "sam", "noor")
    assert run(act, node).state == C.SUCCEEDED
    return FreezeException.objects.latest("starts_at")


def given(held, change, **more):
    known = {"freeze": held.key, "change": named(change), "until": until(), "why": "Pay day."}
    return {**known, **more}


def first(change):
    """The step of its newest run, as though its pause between two questions were over."""
    step = only_step(change.runs.order_by("-number").first())
    Step.objects.filter(pk=step.pk).update(not_before=Now())
    return Step.objects.get(pk=step.pk)


def started(change):
    return claimed(first(change))


def test_exactly_one_change_starts_and_its_permit_names_the_exception(bank, node, held):
    change, other = bank.approved(), bank.approved()
    assert started(change) is None
    made = excepted(bank, node, held, change)
    assert started(other) is None
    assert "frozen by Year end" in first(other).held_reason
    holding(first(change))
    permit = parse(bytes(Permit.objects.get(subject=change.revision.digest).document))
    assert permit["freeze_exceptions"] == [str(made.pk)]
    told = parse(bytes(Entry.objects.get(kind="freeze.excepted").body))["data"]
    assert (told["freeze"], told["named"]) == (str(held.pk), named(change))


def test_nothing_is_let_through_before_others_have_agreed(bank, node, held):
    change = bank.approved()
    act = ask(bank, "freeze-except", by="jonas", **given(held, change))
    agree(act, bank, "sam")
    assert not FreezeException.objects.exists()
    assert started(change) is None


def test_whoever_asked_for_the_change_never_agrees_to_its_exception(bank, held):
    """Whoever asks for the act: the requester and the authors of what it favours stay out."""
    change = bank.change(who="noor")
    act = ask(bank, "freeze-except", by="jonas", **given(held, change))
    with pytest.raises(OwnChange):
        agree(act, bank, "noor")


def test_an_edit_of_the_change_ends_it(bank, node, held):
    change = bank.approved()
    excepted(bank, node, held, change)
    change.refresh_from_db()
    again = asking.ask_again(change, inputs={"version": "43"}, reason="Better.", by=bank.people["mara"])
    changes.revise(change, again)
    for who in ("jonas", "noor"):
        bank.say(change, who)
    change.refresh_from_db()
    assert started(change) is None


def test_another_freeze_holds_it_all_the_same(bank, node, held):
    change = bank.approved()
    excepted(bank, node, held, change)
    make(bank, name="Stocktaking")
    assert started(change) is None
    assert "Stocktaking" in first(change).held_reason


def test_past_its_end_the_freeze_holds_again(bank, node, held):
    change = bank.approved()
    made = excepted(bank, node, held, change)
    sql(
        "UPDATE approvals_freezeexception SET starts_at = starts_at - interval '2 hours',"
        " ends_at = clock_timestamp() WHERE id = %s",
        made.pk,
    )
    assert started(change) is None


def test_an_admin_ends_it_early_and_nobody_else(bank, node, held):
    change = bank.approved()
    made = excepted(bank, node, held, change)
    path = f"/calendar/exceptions/{made.pk}/end/"
    assert Browser(bank, "mara").client.post(path).status_code == 403
    assert exempt.standing().exists()
    assert Browser(bank, "sam").client.post(path).status_code == 302
    assert started(change) is None
    with pytest.raises(ExceptionEnded):
        exempt.end(made.pk, by=bank.people["sam"])
    with pytest.raises(NotAllowed):
        exempt.end(made.pk, by=bank.people["noor"])
    assert Entry.objects.filter(kind="freeze.exception_ended").count() == 1


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"until": "2020-01-01T00:00"}, "until"),
        ({"until": "2099-01-01T00:00"}, "until"),
        ({"until": "2026-02-30T00:00"}, "until"),
        ({"change": "CHG-999999/1"}, "change"),
        ({"change": "CHG-1/7"}, "change"),
        ({"freeze": "Nothing #000000"}, "freeze"),
        ({"why": ""}, "why"),
    ],
)
def test_what_cannot_be_let_through_is_refused_at_its_field(bank, held, changed, field):
    change = bank.approved()
    with pytest.raises(Invalid) as refused:
        ask(bank, "freeze-except", by="jonas", **{**given(held, change), **changed})
    assert refused.value.errors[0]["pointer"] == f"/inputs/{field}"


def test_a_freeze_that_does_not_concern_the_change_has_no_exception_for_it(bank):
    elsewhere, change = make(bank, "staging"), bank.approved()
    with pytest.raises(Invalid, match="does not concern"):
        ask(bank, "freeze-except", by="jonas", **given(elsewhere, change))


def test_the_database_keeps_an_end_within_a_week(bank, held):
    now = timezone.now()
    row = FreezeException(
        freeze=held, subject="sha256:x", named="CHG-1/1", reason="x", granted_by="x",
        starts_at=now, ends_at=now + timedelta(days=8),
    )  # fmt: skip
    with pytest.raises(IntegrityError, match="freeze_exception_ends_within_a_week"), transaction.atomic():
        row.save(force_insert=True)


def test_each_page_tells_it(bank, node, held):
    change = bank.approved()
    mara, sam = Browser(bank, "mara").client, Browser(bank, "sam").client
    page = mara.get(f"/changes/{change.key}/").content.decode()
    assert "A freeze holds it up now" in page
    assert f"inputs.change={change.key}%2F1" in page
    made = excepted(bank, node, held, change)
    assert [one.kind for one in notices.of(bank.user("mara"))] == []
    page = mara.get(f"/changes/{change.key}/").content.decode()
    assert "It may start through the freeze Year end" in page
    for where in (f"/calendar/{held.pk}/", "/exceptions/"):
        page = sam.get(where).content.decode()
        assert f"/changes/{change.key}/" in page
        assert "Pay day." in page
        assert made.granted_by.removeprefix("change:") in page


def test_the_steps_of_a_run_are_let_through_one_by_one(bank, node, held):
    """An exception that is over holds what is left of the run, as the freeze would."""
    change = bank.approved()
    made = excepted(bank, node, held, change)
    ended(holding(first(change)))
    change.refresh_from_db()
    assert change.state == C.SUCCEEDED
    assert Freeze.objects.get(pk=held.pk).lifted_at is None
    assert made.pk
