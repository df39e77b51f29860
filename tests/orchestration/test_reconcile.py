"""What a crash, a lost message or the passing of time leaves behind is healed, or put to a person."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from accounts.acting import Acting
from audit.refusals import MoveNotAllowed, NotAllowed
from orchestration.engine import cancel, runs
from orchestration.engine.flow import following
from orchestration.engine.reconcile import reconcile, redispatch
from orchestration.engine.resolve import resolve
from orchestration.models import Step, StepAttempt
from tests.approvals.cast import person, sql
from tests.orchestration.deeds import both, claimed, ended, holding, told, vanish
from tests.orchestration.test_claim import together
from tests.orchestration.world import states, step


@pytest.mark.parametrize("effect", ["read_only", "idempotent", "reconcilable"])
def test_a_vanished_worker_costs_a_repeatable_step_one_attempt(world, effect):
    run = world.run(step("a", effect=effect))
    holding(run.steps.get())
    vanish()
    assert reconcile()["reaped"] == 1
    one = Step.objects.get()
    assert (one.state, one.attempt, one.lease_owner) == ("ready", 1, None)
    assert StepAttempt.objects.get().outcome == "unknown"
    assert holding(one).attempt.number == 2
    assert both(run) == ("running", "running")


def test_a_vanished_worker_leaves_a_step_that_may_not_be_repeated_unknown(world):
    run = world.run(step("a"), step("b", needs=["a"]), step("c"))
    a, b, c = run.steps.order_by("position")
    holding(a)
    vanish()
    reconcile()
    assert states(run) == {"a": "unknown", "b": "blocked", "c": "ready"}
    assert both(run) == ("unknown", "unknown")
    assert claimed(c) is None  # the run pauses
    assert claimed(b) is None


def test_f30_a_worker_that_vanishes_each_time_does_not_make_a_step_run_for_ever(world, sound):
    run = world.run(step("a", effect="idempotent"))
    for _ in range(4):
        holding(run.steps.get())
        vanish()
        reconcile()
    assert Step.objects.get().state == "unknown"
    assert StepAttempt.objects.count() == 4


@pytest.mark.parametrize(
    ("decision", "step_becomes", "run_becomes"),
    [("done", "succeeded", "succeeded"), ("retry", "ready", "running"), ("fail", "failed", "failed")],
)
def test_a_person_says_what_became_of_an_unknown_step(world, decision, step_becomes, run_becomes):
    run = world.run(step("a"))
    holding(run.steps.get())
    vanish()
    reconcile()
    resolve(Step.objects.get(), decision, by=world.witness, reason="Looked at the host.")
    assert states(run) == {"a": step_becomes}
    assert both(run) == (run_becomes, run_becomes)
    if decision == "retry":
        ended(holding(Step.objects.get()))
        assert both(run) == ("succeeded", "succeeded")


def test_no_machine_resolves_an_unknown_step_and_nobody_one_that_is_known(world):
    run = world.run(step("a"))
    one = run.steps.get()
    with pytest.raises(MoveNotAllowed, match="nothing to resolve"):
        resolve(one, "done", by=world.witness, reason="I looked.")
    holding(one)
    vanish()
    reconcile()
    with pytest.raises(NotAllowed):
        resolve(one, "done", by=Acting(person("Robot", kind="service"), "token"), reason="I looked.")
    assert states(run) == {"a": "unknown"}


def test_a_failure_is_tried_again_only_where_repeating_is_declared_safe(world):
    run = world.run(step("safe", effect="idempotent", retries=1), step("unsafe", retries=1))
    safe, unsafe = run.steps.order_by("position")
    ended(holding(safe), "failed", exit_code=1)
    safe.refresh_from_db()
    assert (safe.state, safe.attempt) == ("ready", 1)
    Step.objects.filter(pk=safe.pk).update(not_before=Now())
    ended(holding(unsafe), "failed", exit_code=1)
    assert states(run) == {"safe": "skipped", "unsafe": "failed"}
    assert both(run) == ("failed", "failed")


def test_an_exit_code_that_the_step_lists_is_tried_again(world):
    run = world.run(step("a", retries=1, retry_exit_codes=[75]))
    ended(holding(run.steps.get()), "failed", exit_code=75)
    assert states(run) == {"a": "ready"}
    Step.objects.update(not_before=Now())
    ended(holding(run.steps.get()), "failed", exit_code=75)
    assert states(run) == {"a": "failed"}


def test_after_a_failure_nothing_new_starts_and_what_runs_may_end(world):
    run = world.run(step("a"), step("b"), step("c", needs=["b"]), step("d"))
    a, b, _, _ = run.steps.order_by("position")
    held = holding(b)
    ended(holding(a), "failed", exit_code=2)
    assert states(run) == {"a": "failed", "b": "running", "c": "skipped", "d": "skipped"}
    assert both(run) == ("running", "running")
    ended(held)
    assert both(run) == ("failed", "failed")
    assert told("run.failed") == told("change.failed") == 1


def test_a_lost_message_is_sent_again_and_not_at_every_round(world):
    world.run(step("a"), step("b"), step("c", needs=["a"]))
    assert redispatch() == 2
    assert redispatch() == 0
    Step.objects.filter(key="a").update(dispatched_at=Now() - timedelta(minutes=1))
    assert redispatch() == 1


def test_a_missed_advance_heals(world):
    run = world.run(step("a"), step("b", needs=["a"]))
    ended(holding(run.steps.get(key="a")))
    sql("UPDATE orchestration_step SET state = 'blocked' WHERE key = 'b'")
    assert reconcile()["advanced"] == 1
    assert states(run) == {"a": "succeeded", "b": "ready"}


def test_a_change_whose_window_has_closed_expires_and_its_run_with_it(world):
    run = world.run(step("a"), not_after=timezone.now() - timedelta(seconds=1))
    assert reconcile()["expired"] == 1
    assert both(run) == ("cancelled", "expired")
    assert claimed(run.steps.get()) is None


def test_a_run_past_its_deadline_is_asked_to_stop(world):
    run = world.run(step("a"), step("b", needs=["a"]))
    held = holding(run.steps.get(key="a"))
    sql("UPDATE orchestration_run SET deadline_at = now() - interval '1 second'")
    assert reconcile()["overdue_runs"] == 1
    assert states(run) == {"a": "running", "b": "cancelled"}
    ended(held, "cancelled")
    assert both(run) == ("cancelled", "cancelled")
    assert reconcile()["overdue_runs"] == 0


def test_an_approval_given_again_wakes_the_run_that_waits(world):
    run = world.run(step("a"))
    Step.objects.update(not_before=Now() + timedelta(hours=1))
    with transaction.atomic():
        again = runs.create(run.change, revision=run.revision, by=world.by.actor, at=timezone.now())
    assert again == run
    assert claimed(run.steps.get()) is not None


def test_a_run_of_an_edited_change_is_voided(world):
    run = world.run(step("a"), step("b", needs=["a"]))
    with transaction.atomic():
        runs.void(run.change, by=world.by.actor, reason="edited")
    assert states(run) == {"a": "cancelled", "b": "cancelled"}
    assert both(run) == ("cancelled", "approved")


def test_cancelling_twice_asks_once_and_an_ended_run_is_not_cancelled(world):
    run = world.run(step("a"))
    cancel.cancel(run, by=world.by)
    with pytest.raises(MoveNotAllowed, match="nothing to cancel"):
        cancel.cancel(run, by=world.by)
    assert told("run.cancel_requested") == told("run.cancelled") == 1


def test_two_reconcilers_take_turns_or_leave_it(world):
    run = world.run(step("a", effect="idempotent"))
    holding(run.steps.get())
    vanish()
    said = together(reconcile, reconcile)
    assert sum(one.get("reaped", 0) for one in said) == 1


def test_the_command_prints_what_it_found_and_fails_on_a_broken_invariant(world):
    run = world.run(step("a"))
    out = StringIO()
    call_command("reconcile", stdout=out)
    assert "I1_running_without_permit: 0" in out.getvalue()
    holding(run.steps.get())
    sql("UPDATE orchestration_run SET permit_id = NULL")
    with pytest.raises(SystemExit):
        call_command("reconcile", "--json", stdout=out)


def test_what_follows_is_computed_from_states_alone():
    def of(**states):
        return [Step(key=key, state=state, needs=needs) for key, (state, needs) in states.items()]

    ready = following(of(a=("succeeded", []), b=("blocked", ["a"]), c=("blocked", ["b"])), cancelling=False)
    assert [one.key for one in ready.ready] == ["b"]
    assert following(of(a=("succeeded", [])), cancelling=False).run == "succeeded"
    assert following(of(a=("succeeded", [])), cancelling=True).run == "succeeded"
    assert following(of(a=("cancelled", [])), cancelling=True).run == "cancelled"
    assert following(of(a=("running", []), b=("timed_out", [])), cancelling=False).run is None
    assert following(of(a=("unknown", []), b=("failed", [])), cancelling=False).run == "unknown"
