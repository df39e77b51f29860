"""A freeze is lifted or made weaker, and a window opened, by a governed act and by nothing else."""

from datetime import timedelta

import pytest
from django.utils import timezone

from approvals import freezes, periods, plans, windows
from approvals.models import Freeze, Window
from approvals.periods import Place
from approvals.plans import Known, Plan
from audit.models import Entry
from audit.refusals import Invalid
from tests.factories import TEST
from tests.orchestration.test_governed import C, agree, ask, bank, node, run

pytestmark = pytest.mark.django_db(transaction=True)
__all__ = ["bank", "node"]
HERE = Place("production", "web-bank", "deploy")
KNOWN = Known(["production", "staging"])
HOUR = timedelta(hours=1)


def plan(name="Year end", **more):
    now = timezone.now().replace(second=0, microsecond=0)
    known = {"schedule": plans.once(now - HOUR, now + HOUR), "environments": ("*",), "reason": "Books close."}
    return Plan(name=name, **{**known, **more})


@pytest.fixture
def held(bank):
    return freezes.plan(plan(), known=KNOWN, by=bank.people["sam"])


@pytest.fixture
def opened(bank):
    return windows.plan(plan("Office hours"), known=KNOWN, by=bank.people["sam"])


def times(**changed):
    at = timezone.now().replace(second=0, microsecond=0, tzinfo=None)
    known = {"environments": "staging", "zone": "UTC", "starts_at": f"{at:%Y-%m-%dT%H:%M}"}
    return {**known, "ends_at": f"{at + HOUR:%Y-%m-%dT%H:%M}", **changed}


def test_d11_a_freeze_of_everything_is_lifted_in_the_control_room_when_others_agree(bank, node, held):
    change = ask(bank, "freeze-lift", freeze=held.key)
    assert change.title == f"Lift the freeze {held.key}"
    agree(change, bank, "sam")
    assert freezes.active(HERE).held
    agree(change, bank, "noor")
    assert run(change, node).state == C.SUCCEEDED
    assert not freezes.active(HERE).held
    assert Entry.objects.get(kind="freeze.lifted").actor == f"change:{change.key}"


def test_a_freeze_is_narrowed_by_an_act(bank, node, held):
    change = ask(bank, "freeze-edit", freeze=held.key, **times())
    agree(change, bank, "sam", "noor")
    assert run(change, node).state == C.SUCCEEDED
    assert not freezes.active(HERE).held
    assert freezes.active(Place("staging")).held


def test_a_window_is_added_made_wider_and_lifted_by_acts(bank, node, opened):
    given = times(name="Tonight", reason="A release.", environments="production")
    acts = [
        ("window-create", given, 2),
        ("window-edit", {"window": opened.key, **times(environments="production staging")}, 2),
        ("window-lift", {"window": opened.key}, 1),
    ]
    for act, inputs, left in acts:
        change = ask(bank, act, **inputs)
        agree(change, bank, "sam", "noor")
        assert run(change, node).state == C.SUCCEEDED
        assert periods.standing(Window).count() == left
    opened.refresh_from_db()
    assert opened.environments == ["production", "staging"]


def test_what_was_lifted_meanwhile_is_not_lifted_again(bank, node, held):
    change = ask(bank, "freeze-lift", freeze=held.key)
    agree(change, bank, "sam", "noor")
    periods.lift(held, reason="Over.", by=TEST)
    assert run(change, node).state == C.SUCCEEDED
    assert Entry.objects.filter(kind="freeze.lifted").count() == 1


@pytest.mark.parametrize(
    ("act", "inputs", "field"),
    [
        ("freeze-lift", {"freeze": "Year end #000000"}, "/inputs/freeze"),
        ("freeze-lift", {"freeze": "Year end"}, "/inputs/freeze"),
        ("window-create", {"name": "A", "reason": "B.", **times(zone="Mars/Base")}, "/inputs/zone"),
        ("window-create", {"name": "A", "reason": "B.", **times(starts_at="now")}, "/inputs/starts_at"),
        (
            "window-create",
            {"name": "A", "reason": "B.", **times(environments="prod")},
            "/inputs/environments",
        ),
        (
            "window-create",
            {"name": "A", "reason": "B.", **times(recurrence="FREQ=DAILY")},
            "/inputs/recurrence",
        ),
        ("window-create", {"name": "A", "reason": "B.", **times(exceptions="Xmas")}, "/inputs/exceptions"),
    ],
)
def test_what_could_hold_nothing_is_refused_at_its_field(bank, held, act, inputs, field):
    with pytest.raises(Invalid) as refused:
        ask(bank, act, **inputs)
    assert refused.value.errors[0]["pointer"] == field
    assert Freeze.objects.get() == held


def test_the_form_offers_the_freezes_that_stand(bank, client, held):
    client.force_login(bank.user("mara"), backend="django.contrib.auth.backends.ModelBackend")
    page = client.get("/workflows/freeze-lift/new/").content.decode()
    assert f'value="{held.key}"' in page
    assert held.words in page
