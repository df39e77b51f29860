"""A step goes from its claim to what follows it in one go, whoever is in the way."""

import threading
import time
from datetime import timedelta
from functools import partial
from uuid import UUID

import pytest
from django.db import connection
from django.db.models.functions import Now

from orchestration.engine import cancel, dispatch, failpoints, nodes, poll
from orchestration.engine.nodes import Node
from orchestration.engine.reconcile import reconcile
from orchestration.engine.work import work
from orchestration.logs import reading
from orchestration.mailbox import Mailbox
from orchestration.models import Run, RunEvent, Step, StepAttempt, WorkerNode
from orchestration.tasks import wake
from tests.orchestration.deeds import both, told
from tests.orchestration.test_claim import together
from tests.orchestration.world import chain_of, states, step
from tests.stack import wait_for


def command(key, *argv, **more):
    return step(key, **{"uses": "command", "with": {"argv": list(argv)}, **more})


def close_connection():
    connection.connection.close()


@pytest.fixture
def node(world):
    one = Node()
    one.register()
    yield one
    one.stop()


@pytest.fixture
def beating(node, settings):
    """A node whose heart beats fast."""
    settings.HEARTBEAT_SECONDS = 0.1
    node.start()
    return node


def test_a_run_goes_through_all_its_steps_without_another_message(world, node):
    run = world.run(*chain_of(4))
    work(run.steps.get(key="s0").pk, node=node)
    assert set(states(run).values()) == {"succeeded"}
    assert both(run) == ("succeeded", "succeeded")


def test_what_a_program_prints_is_stored_in_order_and_its_exit_code_told(world, node):
    run = world.run(command("a", "/bin/sh", "-c", "echo one; echo two; exit 3"))
    one = run.steps.get()
    work(one.pk, node=node)
    attempt = StepAttempt.objects.get()
    assert b"".join(reading.text(one)) == b"one\ntwo\n"
    assert (attempt.outcome, attempt.exit_code, attempt.last_seq > 0) == ("failed", 3, True)
    assert both(run) == ("failed", "failed")


def test_a_log_is_read_on_from_where_the_reader_was(world, node):
    run = world.run(command("a", "/bin/sh", "-c", "echo one; sleep 0.4; echo two"))
    one = run.steps.get()
    work(one.pk, node=node)
    first = reading.log_after(one, 0)
    assert "".join(line["text"] for line in first["results"]) == "one\ntwo\n"
    behind = reading.log_after(one, first["results"][0]["seq"])
    assert [line["text"] for line in behind["results"]] == ["two\n"]
    assert reading.log_after(Step.objects.get(), first["after"]) == {
        "results": [],
        "after": first["after"],
        "more": False,
        "ended": True,
        "total": 2,
    }


def test_the_numbers_of_a_run_s_events_have_no_gap(world, node):
    run = world.run(step("a"), step("b", needs=["a"]), step("c", needs=["a"]))
    for key in ("a", "b", "c"):
        work(run.steps.get(key=key).pk, node=node)
    seqs = list(RunEvent.objects.order_by("seq").values_list("seq", flat=True))
    assert seqs == list(range(1, Run.objects.get().event_seq + 1))


def test_f12_the_same_wake_up_fifty_times_to_eight_workers_is_one_attempt(world, sound):
    one, workers, messages = world.run(step("a")).steps.get(), [], iter(range(50))
    for _ in range(8):
        workers.append(Node())
        workers[-1].register()

    def taking(node):
        for _ in messages:
            work(one.pk, node=node)

    assert together(*[partial(taking, node) for node in workers]) == [None] * 8
    assert next(messages, None) is None
    assert StepAttempt.objects.count() == 1
    assert told("step.running") == 1


def test_f29_a_message_of_another_release_is_left_alone_and_its_step_is_found_all_the_same(
    world, node, sound
):
    run = world.run(step("a"))
    wake(v=dispatch.VERSION + 1, id=str(run.steps.get().pk))
    assert states(run) == {"a": "ready"}
    poll.poll(node)
    assert states(run) == {"a": "succeeded"}


def test_a_forged_message_changes_nothing(world):
    run = world.run(step("a"))
    with pytest.raises(ValueError, match="badly formed"):
        wake(v=dispatch.VERSION, id="; rm -rf /")
    assert states(run) == {"a": "ready"}


def test_an_idle_worker_finds_work_without_a_message(world, node):
    run = world.run(step("a"), step("b"), step("c", needs=["a", "b"]))
    poll.poll(node)
    assert both(run) == ("succeeded", "succeeded")


def test_a_draining_worker_claims_nothing_and_passes_on_what_follows(world, node, monkeypatch):
    run = world.run(*chain_of(2))
    woken: list[UUID] = []
    monkeypatch.setattr(dispatch, "wake", woken.append)
    failpoints.at("complete.before", nodes.drain)
    try:
        work(run.steps.get(key="s0").pk, node=node)
    finally:
        failpoints.at("complete.before", None)
        nodes._draining[0] = 0
    assert states(run) == {"s0": "succeeded", "s1": "ready"}
    assert woken == [run.steps.get(key="s1").pk]


def test_a_heartbeat_keeps_the_lease_of_a_long_step(world, beating, settings):
    settings.LEASE_TTL_SECONDS = 1.0
    run = world.run(step("a", seconds=2))
    work(run.steps.get().pk, node=beating)
    assert both(run) == ("succeeded", "succeeded")
    assert told("step.late_result") == 0


def test_cancelling_reaches_a_running_step_at_once(world, beating, settings):
    settings.HEARTBEAT_SECONDS = 30  # the notification wakes the heart, not the clock
    run = world.run(command("a", "/bin/sleep", "60"), step("b", needs=["a"]))

    def cancel_when_running():
        wait_for(lambda: Step.objects.filter(key="a", state="running").exists())
        time.sleep(0.3)
        cancel.cancel(run, by=world.by)

    began = time.monotonic()
    together(lambda: work(run.steps.get(key="a").pk, node=beating), cancel_when_running)
    assert time.monotonic() - began < 10
    assert states(run) == {"a": "cancelled", "b": "cancelled"}
    assert both(run) == ("cancelled", "cancelled")


def test_a_step_that_lost_its_lease_is_ended_and_reports_in_vain(world, beating):
    run = world.run(command("a", "/bin/sleep", "60", effect="idempotent"))

    def is_taken():
        """A heartbeat may renew the lease right behind the update: then it is taken again."""
        Step.objects.update(lease_until=Now() - timedelta(minutes=1))
        return reconcile().get("reaped")

    def take_away():
        wait_for(lambda: Step.objects.filter(state="running").exists())
        wait_for(is_taken)

    began = time.monotonic()
    together(lambda: work(run.steps.get().pk, node=beating), take_away)
    assert time.monotonic() - began < 15
    assert StepAttempt.objects.get(number=1).outcome in {"unknown", "cancelled"}


def test_a_completion_is_tried_again_when_the_connection_breaks(world, node, monkeypatch):
    monkeypatch.setattr("orchestration.engine.work.COMPLETION_PAUSE_SECONDS", 0.01)
    run = world.run(step("a"))
    broken: list[None] = []

    def break_once():
        if not broken:
            broken.append(connection.connection.close())

    failpoints.at("complete.before_commit", break_once)
    try:
        work(run.steps.get().pk, node=node)
    finally:
        failpoints.at("complete.before_commit", None)
    assert broken
    assert both(run) == ("succeeded", "succeeded")
    assert told("step.succeeded") == 1


def test_a_broken_claim_starts_nothing_and_the_step_is_found_again(world, node):
    run = world.run(step("a"))
    failpoints.at("claim.before_commit", close_connection)
    try:
        work(run.steps.get().pk, node=node)
    finally:
        failpoints.at("claim.before_commit", None)
    assert states(run) == {"a": "ready"}
    assert not StepAttempt.objects.exists()
    poll.poll(node)
    assert both(run) == ("succeeded", "succeeded")


def test_a_worker_with_a_clock_far_off_claims_nothing(world, node, settings):
    settings.LEASE_TTL_SECONDS = 30
    node._offset_seconds = 3600
    run = world.run(step("a"))
    work(run.steps.get().pk, node=node)
    assert states(run) == {"a": "ready"}
    node.beat()  # its clock was set right meanwhile
    work(run.steps.get().pk, node=node)
    assert states(run) == {"a": "succeeded"}
    assert abs(WorkerNode.objects.get().clock_offset_ms) < 3_600_001


def test_posting_never_waits_for_a_delivery_that_hangs_and_the_newest_of_each_key_is_kept():
    hanging, delivered = threading.Event(), []

    def deliver(batch):
        hanging.wait(30)
        delivered.append(batch)

    box = Mailbox("test", deliver)
    began = time.monotonic()
    for number in range(1000):
        box.post(number % 3, number)
    assert time.monotonic() - began < 10
    hanging.set()
    wait_for(lambda: {0: 999, 1: 997, 2: 998}.items() <= {**(delivered or [{}])[-1]}.items())
