"""Of the runs under one lock one runs at a time; who waits stands in a queue that all can see, and nobody for ever."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from accounts.acting import Acting
from approvals import freezes
from audit.models import Entry
from orchestration import lifecycle
from orchestration.engine import cancel, enrolled, queue, resolve
from orchestration.engine.poll import _oldest_ready
from orchestration.engine.reconcile import reconcile
from orchestration.models import Place, Run, Step
from tests.orchestration.deeds import both, claimed, ended, holding, vanish
from tests.orchestration.world import SETUP, step
from tests.races import Together, rounds

LOCK = "payments@production"


def locked(world, **says):
    return world.run(step("a"), lock=LOCK, **says)


def due(run):
    """As if the minute in which it asks again were over."""
    Step.objects.filter(run=run, state="ready").update(not_before=Now())
    return run.steps.get()


def line(run):
    found = queue.line(Run.objects.get(pk=run.pk))
    assert found is not None
    return found.holder, found.waiting


def test_the_second_run_waits_until_the_first_has_ended(world):
    first, second = locked(world), locked(world)
    held = holding(first.steps.get())
    assert claimed(second.steps.get()) is None
    assert both(second) == ("ready", "approved")
    assert line(second) == (first, [second])
    assert LOCK in second.steps.get().held_reason
    ended(held)
    assert second.steps.filter(not_before__lte=Now()).exists()  # called, not left to its minute
    assert claimed(second.steps.get()) is not None
    assert line(second) == (second, [])


def test_runs_under_other_locks_or_none_are_not_held_up(world):
    holding(locked(world).steps.get())
    holding(world.run(step("a"), lock="payments@staging").steps.get())
    holding(world.run(step("a")).steps.get())
    holding(world.run(step("a")).steps.get())


def test_who_waits_is_told_once_however_often_it_asks(world):
    holding(locked(world).steps.get())
    second = locked(world)
    for _ in range(3):
        assert claimed(due(second)) is None
    assert Entry.objects.filter(kind="attempt.refused", subject=second.key).count() == 1


def test_the_queue_is_kept_in_order_and_nobody_is_overtaken(world):
    held = holding(locked(world).steps.get())
    second, third = locked(world), locked(world)
    for run in (third, second):
        assert claimed(run.steps.get()) is None
    ended(held)
    assert claimed(due(third)) is None
    assert line(third) == (None, [second, third])
    holding(second.steps.get())


def test_high_goes_before_normal_before_low_and_an_emergency_before_all(world):
    held = holding(locked(world).steps.get())
    low, normal, high, now = (
        locked(world, **says)
        for says in ({"priority": "low"}, {}, {"priority": "high"}, {"emergency": {"incident": "INC-1"}})
    )
    for run in (low, normal, high):
        assert claimed(run.steps.get()) is None
    queue.asked(now, queue.LockTaken("as the gate let it pass"))
    assert line(low) == (held_run(held), [now, high, normal, low])


def held_run(held):
    return Run.objects.get(pk=held.attempt.run_id)


def test_a_low_one_that_has_waited_long_is_not_overtaken_by_a_high_one_for_ever(world):
    holding(locked(world).steps.get())
    low = locked(world, priority="low")
    with transaction.atomic():
        aged = {"turn_at": F("turn_at") - timedelta(hours=3)}
        lifecycle.touch_run(low, "run.aged", by=SETUP, columns=aged)
    high = locked(world, priority="high")
    for run in (high, low):
        assert claimed(run.steps.get()) is None
    assert line(low)[1] == [low, high]


def test_workers_take_what_is_urgent_first(world):
    world.run(step("a"), priority="low")
    world.run(step("a"))
    urgent = world.run(step("a"), priority="high")
    assert _oldest_ready(enrolled.this_host(), but=set()) == urgent.steps.get().pk


def test_who_does_not_ask_any_more_is_passed_by(world):
    held = holding(locked(world).steps.get())
    second, third = locked(world), locked(world)
    for run in (second, third):
        assert claimed(run.steps.get()) is None
    ended(held)
    Place.objects.filter(run=second).update(asked_at=Now() - timedelta(minutes=3))  # no worker takes it
    holding(due(third))


def test_who_was_stopped_stands_in_nobodys_way(world):
    held = holding(locked(world).steps.get())
    second, third = locked(world), locked(world)
    for run in (second, third):
        assert claimed(run.steps.get()) is None
    ended(held)
    with transaction.atomic():
        cancel.request(Run.objects.select_related("change").get(pk=second.pk), by=SETUP, reason="")
    holding(due(third))


def test_a_freeze_takes_a_run_out_of_the_queue(world):
    holding(locked(world).steps.get())
    second = locked(world)
    assert claimed(second.steps.get()) is None
    assert Place.objects.count() == 1
    now = timezone.now()
    freezes.create(
        name="Year end",
        reason="Books close.",
        environments=[world.environment.slug],
        starts_at=now - timedelta(hours=1),
        ends_at=now + timedelta(hours=1),
        known=[world.environment.slug],
        by=Acting(world.bank.admin, "session"),
    )
    assert claimed(due(second)) is None
    assert not Place.objects.exists()


def test_an_unknown_run_keeps_its_lock_until_a_person_has_said_what_happened(world):
    first, second = locked(world), locked(world)
    holding(first.steps.get())
    vanish()
    reconcile()
    assert both(first) == ("unknown", "unknown")
    assert claimed(second.steps.get()) is None
    person = Acting(world.bank.omar, "session")
    resolve.resolve(first.steps.get(), "done", by=person, reason="I looked.")
    assert both(first) == ("succeeded", "succeeded")
    holding(due(second))


def test_a_cancelled_run_lets_the_next_one_go(world):
    first, second = locked(world), locked(world)
    held = holding(first.steps.get())
    assert claimed(second.steps.get()) is None
    cancel.cancel(first, by=world.by)
    assert claimed(due(second)) is None  # it still ends
    ended(held, "cancelled")
    holding(second.steps.get())


def test_the_reconciler_calls_who_waits_for_a_free_lock(world):
    held = holding(locked(world).steps.get())
    second = locked(world)
    ended(held)
    queue.asked(second, queue.LockTaken("asked as the other ended"))
    Step.objects.filter(run=second).update(not_before=Now() + timedelta(minutes=1))
    assert reconcile()["called"] == 1
    holding(second.steps.get())


def test_a_lock_that_was_edited_in_the_database_stops_the_run(world):
    run = locked(world)
    with transaction.atomic():
        lifecycle.touch_run(run, "run.forged", by=SETUP, columns={"lock": ""})
    assert claimed(run.steps.get()) is None
    assert "another lock" in run.steps.get().held_reason


def test_the_database_itself_refuses_a_second_holder(world):
    first, second = locked(world), locked(world)
    holding(first.steps.get())
    with pytest.raises(IntegrityError, match="run_alone_under_its_lock"), transaction.atomic():
        lifecycle.move_run(second, Run.State.RUNNING, by=SETUP)


@pytest.mark.races
def test_two_runs_and_one_lock_never_both_run(world):
    pair = Together(2)
    try:
        for number in rounds():
            both_ = [world.run(step("a"), lock=f"{LOCK}/{number}") for _ in range(2)]
            steps = [run.steps.get() for run in both_]
            results = pair.at_once(*(lambda one=one: claimed(one) for one in steps))
            running = Run.objects.filter(pk__in=[run.pk for run in both_], state="running")
            assert [one is not None for one in results].count(True) == 1 == running.count()
            ended(next(one for one in results if one is not None))
            waiting = next(run for run in both_ if both(run)[0] == "ready")
            ended(holding(due(waiting)))
    finally:
        pair.close()
