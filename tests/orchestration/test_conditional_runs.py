"""Conditions, borne failures, verification and deadlines in real runs: rows, entries, events, and the guards below."""

from datetime import timedelta

import pytest
from django.db import connection, transaction

from audit.canonical import parse
from audit.models import Entry
from orchestration.engine import resolve as resolving
from orchestration.engine.claim import claim
from orchestration.engine.reconcile import reconcile
from orchestration.models import Run, Step
from tests.orchestration.deeds import both, ended, holding, told, vanish
from tests.orchestration.world import states, step

pytestmark = pytest.mark.django_db(transaction=True)


def of(run: Run, key: str) -> Step:
    return run.steps.get(key=key)


def test_a_step_that_is_passed_over_says_so_in_row_entry_and_event(world):
    run = world.run(
        step("a"),
        step("b", needs=["a"], when="outputs.a.go == true"),
        step("c", needs=["b"], when="states.b == 'omitted'"),
    )
    ended(holding(of(run, "a")), outputs={"go": False})
    assert states(run) == {"a": "succeeded", "b": "omitted", "c": "ready"}
    why = "Its condition was false: outputs.a.go == true"
    assert of(run, "b").reason == why
    entry = Entry.objects.get(kind="step.omitted")
    assert parse(bytes(entry.body))["data"]["reason"] == why
    assert run.events.get(kind="step.omitted").payload["reason"] == why
    ended(holding(of(run, "c")))
    assert both(run) == ("succeeded", "succeeded")


def test_a_first_step_whose_condition_is_false_is_passed_over_when_the_run_is_made(world):
    run = world.run(step("a", when="service == 'nosuch'"), step("b", needs=["a"]))
    assert states(run) == {"a": "omitted", "b": "ready"}
    assert told("step.omitted") == 1
    ended(holding(of(run, "b")))
    assert both(run) == ("succeeded", "succeeded")


def test_a_condition_without_an_answer_fails_the_run_in_words_everywhere(world):
    run = world.run(step("a"), step("b", needs=["a"], when="outputs.a.status == 200"), step("c", needs=["b"]))
    ended(holding(of(run, "a")))
    why = 'the condition of b could not be decided: Key not found in map : "status"'
    assert states(run) == {"a": "succeeded", "b": "skipped", "c": "skipped"}
    run.refresh_from_db()
    assert (run.state, run.reason, of(run, "b").reason) == ("failed", why, why)
    entry = Entry.objects.get(kind="run.failed")
    assert parse(bytes(entry.body))["data"]["reason"] == why


def test_a_borne_failure_lets_the_run_go_on_and_its_end_says_so(world):
    run = world.run(step("lint", continue_on_error=True), step("build", needs=["lint"]))
    ended(holding(of(run, "lint")), "failed", exit_code=1)
    ended(holding(of(run, "build")))
    run.refresh_from_db()
    assert (run.state, run.reason) == ("succeeded", "lint failed, which was allowed")


def test_a_row_that_bears_a_failure_nobody_signed_starts_nothing(world):
    run = world.run(step("a"), step("b", needs=["a"]))
    held = holding(of(run, "a"))
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE orchestration_step DISABLE TRIGGER USER")
        cursor.execute("""UPDATE orchestration_step SET spec = spec || '{"continue_on_error": true}'""")
        cursor.execute("ALTER TABLE orchestration_step ENABLE TRIGGER USER")
    ended(held, "failed")
    assert (states(run), both(run)[0]) == ({"a": "failed", "b": "skipped"}, "failed")


def test_a_row_that_hides_its_condition_does_not_start(world):
    run = world.run(step("a"), step("b", needs=["a"], when="1 > 2"))
    held = holding(of(run, "a"))
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE orchestration_step DISABLE TRIGGER USER")
        cursor.execute("UPDATE orchestration_step SET spec = spec - 'when'")
        cursor.execute("ALTER TABLE orchestration_step ENABLE TRIGGER USER")
    ended(held)
    one = of(run, "b")
    assert (one.state, claim(one.pk, boot_id=held.attempt.boot_id)) == ("ready", None)
    assert "not the step that was signed off" in of(run, "b").held_reason


def test_a_failure_of_verification_fails_the_run_as_that(world):
    run = world.run(step("a"), step("smoke", needs=["a"], phase="verify"))
    ended(holding(of(run, "a")))
    ended(holding(of(run, "smoke")), "failed")
    run.refresh_from_db()
    assert (run.state, run.reason) == ("failed", "verification failed: smoke failed")


def test_what_a_person_calls_failed_is_borne_where_that_was_signed(world):
    run = world.run(step("a", continue_on_error=True), step("b", needs=["a"]))
    holding(of(run, "a"))
    vanish()
    reconcile()
    assert states(run)["a"] == "unknown"
    resolving.resolve(of(run, "a"), "fail", by=world.witness, reason="The log says so.")
    assert states(run) == {"a": "failed", "b": "ready"}


def test_a_run_has_the_time_that_was_signed_from_its_start(world, monkeypatch):
    document = world.document
    monkeypatch.setattr(world, "document", lambda *given: {**document(*given), "timeout_seconds": 60})
    run = world.run(step("a"), step("b", needs=["a"]))
    ended(holding(of(run, "a")))
    run.refresh_from_db()
    assert run.deadline_at - run.started_at == timedelta(seconds=60)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE orchestration_run DISABLE TRIGGER USER")
        cursor.execute("UPDATE orchestration_run SET deadline_at = now() - interval '1 second'")
        cursor.execute("ALTER TABLE orchestration_run ENABLE TRIGGER USER")
    reconcile()
    run.refresh_from_db()
    assert (run.state, run.reason) == ("cancelled", "its deadline or its permit has passed")


def test_nothing_is_tried_again_once_its_permit_would_be_over(world, monkeypatch):
    run = world.run(step("a", effect="idempotent", retries=3))
    held = holding(of(run, "a"))
    monkeypatch.setattr("orchestration.engine.complete._backoff", lambda _: timedelta(days=400))
    ended(held, "failed")
    assert (states(run), both(run)[0]) == ({"a": "failed"}, "failed")
