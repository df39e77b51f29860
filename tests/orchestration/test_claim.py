"""A step is taken once, by one worker, through the gate, or not at all."""

import threading
from datetime import timedelta

import pytest
from django.db import connection, connections, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from accounts.acting import Acting
from approvals import freezes
from approvals.models import Permit
from audit.models import Entry
from orchestration import lifecycle
from orchestration.engine import cancel, failpoints
from orchestration.engine.attempt import Chunk
from orchestration.engine.claim import Claimed
from orchestration.engine.logs import Log
from orchestration.engine.reconcile import overdue, reap, reconcile
from orchestration.models import Change, LogChunk, Run, RunEvent, Step, StepAttempt
from tests.approvals.cast import leave, sql
from tests.orchestration.deeds import both, claimed, ended, holding, told, vanish
from tests.orchestration.world import SETUP, states, step
from tests.races import ROUNDS, rounds


def together(*deeds):
    """Run the deeds in threads that all begin at the same moment; what each returned or raised."""
    barrier, said = threading.Barrier(len(deeds)), dict.fromkeys(range(len(deeds)))

    def do(place, deed):
        try:
            barrier.wait()
            said[place] = deed()
        except Exception as error:  # noqa: BLE001 - the test looks at it
            said[place] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=do, args=pair) for pair in enumerate(deeds)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return list(said.values())


def test_the_first_claim_brings_the_permit_and_starts_run_and_change(world):
    run = world.run(step("a", seconds=3))
    held = holding(run.steps.get())
    run.refresh_from_db()
    assert held.attempt.with_ == {"seconds": 3}
    assert held.attempt.number == 1
    assert (run.state, run.change.state) == ("running", "running")
    assert run.permit == Permit.objects.get(run_id=run.pk)
    assert StepAttempt.objects.get().worker_boot_id == held.attempt.boot_id
    assert list(RunEvent.objects.order_by("seq").values_list("seq", "kind")) == [
        (1, "run.created"),
        (2, "run.running"),
        (3, "step.running"),
    ]


def test_a_claimed_step_is_not_claimed_again(world):
    one = world.run(step("a")).steps.get()
    assert claimed(one) is not None
    assert claimed(one) is None
    assert StepAttempt.objects.count() == 1


def test_a_step_waits_for_every_step_that_it_needs(world):
    run = world.run(step("a"), step("b"), step("c", needs=["a", "b"]))
    a, b, c = run.steps.order_by("position")
    with transaction.atomic():  # as a missed guard elsewhere would leave it
        c.run = run
        lifecycle.move_step(c, Step.State.READY, by=SETUP)
    assert claimed(c) is None
    ended(holding(a))
    assert claimed(c) is None
    ended(holding(b))
    assert claimed(c) is not None


def test_a_step_is_not_started_before_its_time_by_the_clock_of_the_database(world):
    one = world.run(step("a")).steps.get()
    Step.objects.update(not_before=Now() + timedelta(minutes=1))
    assert claimed(one) is None
    Step.objects.update(not_before=Now())
    assert claimed(one) is not None


def test_a_freeze_holds_the_step_and_is_told_once(world):
    run = world.run(step("a"))
    one = run.steps.get()
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
    for _ in range(3):
        Step.objects.update(not_before=Now())
        assert claimed(one) is None
    one.refresh_from_db()
    assert "Year end" in one.held_reason
    assert one.not_before > timezone.now()
    assert told("attempt.refused", subject=run.key) == 1
    assert Run.objects.get().state == "ready"


def test_a_quorum_that_is_lost_after_the_approval_stops_the_start(world):
    run = world.run(step("a"))
    leave(world.bank.sam, "security")
    assert claimed(run.steps.get()) is None
    assert "lacks sign-offs" in Step.objects.get().held_reason
    assert not Permit.objects.exists()


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE orchestration_step SET spec = jsonb_set(spec, '{with}', '{\"seconds\": 9}')",
        "UPDATE orchestration_step SET uses = 'command'",
        "UPDATE orchestration_step SET effect = 'idempotent'",
        "UPDATE orchestration_step SET key = 'other'",
    ],
)
def test_a_step_edited_in_the_database_is_not_started(world, edit):
    run = world.run(step("a"))
    sql(edit)
    assert claimed(run.steps.get()) is None
    assert "not the step that was signed off" in Step.objects.get().held_reason
    assert not StepAttempt.objects.exists()


def test_a_document_edited_in_the_database_is_not_run(world):
    run = world.run(step("a"))
    sql(
        "UPDATE orchestration_revision SET document = replace(convert_from(document, 'UTF8'),"
        " '\"seconds\":0', '\"seconds\":9')::bytea"
    )
    sql("UPDATE orchestration_step SET spec = jsonb_set(spec, '{with}', '{\"seconds\": 9}')")
    assert claimed(run.steps.get()) is None
    assert "not what was signed off" in Step.objects.get().held_reason


def test_a_run_that_was_asked_to_stop_starts_nothing_more(world):
    run = world.run(step("a"), step("b"))
    a, b = run.steps.order_by("position")
    held = holding(a)
    cancel.cancel(run, by=world.by)
    assert claimed(b) is None
    ended(held, "cancelled")
    assert states(run) == {"a": "cancelled", "b": "cancelled"}
    assert both(run) == ("cancelled", "cancelled")


def test_only_the_holder_of_the_attempt_completes_it(world):
    one = world.run(step("a", effect="idempotent")).steps.get()
    first = holding(one)
    vanish()
    reconcile()
    second = holding(one)
    assert (first.attempt.number, second.attempt.number) == (1, 2)
    ended(first, exit_code=0)
    assert Step.objects.get().state == "running"
    assert told("step.late_result") == 1
    ended(second)
    assert Step.objects.get().state == "succeeded"


def test_what_a_fenced_attempt_prints_is_not_stored(world):
    one = world.run(step("a", effect="idempotent")).steps.get()
    first = holding(one)
    log = Log(first.attempt, first.attempt_id)
    log.take(Chunk(1, "stdout", b"mine\n"))
    log.store()
    vanish()
    reconcile()
    log.take(Chunk(2, "stdout", b"late\n"))
    log.store()
    assert [bytes(data or b"") for data in LogChunk.objects.values_list("data", flat=True)] == [b"mine\n"]


def test_f34_the_reaper_leaves_a_step_alone_that_was_claimed_again_meanwhile(world, sound):
    """It fetched a lapsed lease; before it writes, the step was reaped by another and claimed anew."""
    one = world.run(step("a", effect="idempotent")).steps.get()
    claimed(one)
    vanish()
    seen = overdue().get()
    reconcile()
    fresh = holding(one)
    with pytest.raises(Exception, match="changed meanwhile"), transaction.atomic():
        reap(seen)
    one.refresh_from_db()
    assert (one.state, one.attempt, one.lease_owner) == ("running", 2, fresh.attempt.boot_id)


def test_f34_the_reaper_leaves_a_lease_alone_that_was_renewed_meanwhile(world, sound):
    one = world.run(step("a")).steps.get()
    claimed(one)
    vanish()
    seen = overdue().get()
    Step.objects.update(lease_until=Now() + timedelta(seconds=30))
    with pytest.raises(Exception, match="changed meanwhile"), transaction.atomic():
        reap(seen)
    assert Step.objects.get().state == "running"


def test_f34_between_the_look_and_the_write_of_the_reaper_a_job_may_end_and_be_taken_again(world, sound):
    """All of it inside one round of the reconciler: it looked, and stands still while others go on."""
    one = world.run(step("a", effect="idempotent", retries=1)).steps.get()
    first, fresh = holding(one), list[Claimed]()
    vanish()

    def meanwhile():
        if not fresh:
            ended(first, "failed", exit_code=1)  # its worker was slow and not dead
            Step.objects.update(not_before=Now())
            fresh.append(holding(one))

    failpoints.at("reconcile.found", lambda: together(meanwhile))
    try:
        assert reconcile()["reaped"] == 0
    finally:
        failpoints.at("reconcile.found", None)
    one.refresh_from_db()
    assert (one.state, one.attempt, one.lease_owner) == ("running", 2, fresh[0].attempt.boot_id)
    assert [(each.number, each.outcome) for each in one.attempts.all()] == [(1, "failed"), (2, "")]


@pytest.mark.races
def test_f13_two_workers_at_a_barrier_start_one_attempt_in_every_round(world, sound):
    run = world.run(*[step(f"s{i}") for i in range(ROUNDS)])
    for _, one in zip(rounds(), run.steps.order_by("position"), strict=True):
        said = together(lambda: claimed(one), lambda: claimed(one))  # noqa: B023 - the round's own
        assert sorted(answer is None for answer in said) == [False, True], said
    assert StepAttempt.objects.count() == ROUNDS
    assert Step.objects.filter(state="running", attempt=1).count() == ROUNDS


@pytest.mark.races
def test_f32_two_parents_that_finish_together_make_their_child_ready_once(world, sound):
    steps = []
    for i in range(ROUNDS):
        steps += [step(f"a{i}"), step(f"b{i}"), step(f"c{i}", needs=[f"a{i}", f"b{i}"])]
    by_key = {one.key: one for one in world.run(*steps).steps.all()}
    for i in rounds():
        held = [holding(by_key[f"a{i}"]), holding(by_key[f"b{i}"])]
        together(*[lambda one=one: ended(one) for one in held])
        child = Step.objects.get(pk=by_key[f"c{i}"].pk)
        assert child.state == "ready"
        assert Entry.objects.filter(stream=child.pk, kind="step.ready").count() == 1


@pytest.mark.races
def test_cancel_and_start_and_complete_take_turns(world):
    """Whatever comes first, the run ends in one state, without a deadlock, and its change with it."""
    for _ in rounds():
        run = world.run(step("a"), step("b", needs=["a"]))
        a = run.steps.get(key="a")

        def start_and_end(a=a):
            held = claimed(a)
            return None if held is None else ended(held)

        said = together(start_and_end, lambda run=run: cancel.cancel(run, by=world.by))
        assert not [one for one in said if isinstance(one, Exception)], said
        assert both(run) == ("cancelled", "cancelled")
        assert states(run)["b"] == "cancelled"


def test_an_aborted_commit_starts_nothing(world):
    one = world.run(step("a")).steps.get()
    failpoints.at("claim.before_commit", connection.connection.close)
    try:
        with pytest.raises(Exception, match="connection"):
            claimed(one)
    finally:
        failpoints.at("claim.before_commit", None)
        connection.close()
    assert Step.objects.get().state == "ready"
    assert Change.objects.filter(event_seq=F("event_seq")).get().state == "approved"
