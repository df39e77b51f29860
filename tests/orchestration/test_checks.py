"""A reconcilable step: before it runs again its check says whether it has happened, and silence is not a no."""

import sys

import pytest
from django.db.models.functions import Now

from audit.refusals import MoveNotAllowed
from orchestration.actions import registry
from orchestration.definitions import checks
from orchestration.definitions.source import BadDefinition
from orchestration.definitions.workflow import load
from orchestration.engine.nodes import Node
from orchestration.engine.reconcile import reconcile
from orchestration.engine.resolve import resolve
from orchestration.engine.work import work
from orchestration.logs import reading
from orchestration.models import Step, StepAttempt
from tests.orchestration.deeds import both, holding, vanish
from tests.orchestration.probe import Probe
from tests.orchestration.test_supervise import Watched
from tests.orchestration.world import states, step

DEFINITION = """
apiVersion: countersign.dev/v1
kind: Workflow
metadata: {name: pay, title: Pay, owner: payments}
spec:
  summary: Pay
  inputs: {order: {type: string, pattern: '^[0-9]+$'}}
  environments: [production]
  steps:
    pay:
      uses: command
      with: {argv: [./pay.sh, "{{inputs.order}}"]}
      effect: reconcilable
      check: {argv: [./paid.sh, "{{inputs.order}}"], timeout: 10s}
"""
FILES = {"pay.sh": "#!/bin/sh\n", "paid.sh": "#!/bin/sh\n"}


def paying(place, *, check="", **more):
    """Pays once: a line in a file, with the key of the attempt; and looks for that line."""
    pay = f'echo "$IDEMPOTENCY_KEY" >> {place}/paid; echo paid'
    look = check or f'echo "looking, $STEP_PHASE"; grep -q "$IDEMPOTENCY_KEY" {place}/paid'
    asked = {"argv": ["/bin/sh", "-c", look], "timeout_seconds": 1}
    return step(
        "pay", uses="command", effect="reconcilable", check=asked, **more
    ) | {"with": {"argv": ["/bin/sh", "-c", pay]}}  # fmt: skip


@pytest.fixture
def node(world):
    one = Node()
    one.register()
    yield one
    one.stop()


@pytest.fixture
def place(tmp_path):
    (tmp_path / "paid").touch()
    return tmp_path


def lost(run):
    """A worker takes the step and is gone; its lease lapses."""
    held = holding(run.steps.get())
    vanish()
    reconcile()
    return held


def again(run, node):
    Step.objects.filter(run=run, state="ready").update(not_before=Now())
    work(run.steps.get().pk, node=node)


def paid(place):
    return (place / "paid").read_text().split()


# --- asked before any further attempt -------------------------------------------------------------------------


def test_the_first_attempt_asks_nothing(world, node, place):
    run = world.run(paying(place))
    work(run.steps.get().pk, node=node)
    assert both(run) == ("succeeded", "succeeded")
    assert b"".join(reading.text(run.steps.get())) == b"paid\n"


def test_what_has_happened_under_a_worker_that_vanished_is_not_done_again(world, node, place):
    run = world.run(paying(place))
    held = lost(run)
    (place / "paid").write_text(held.attempt.idempotency_key + "\n")  # the effect, and no word of it
    again(run, node)
    assert both(run) == ("succeeded", "succeeded")
    assert paid(place) == [held.attempt.idempotency_key]
    last = StepAttempt.objects.get(number=2)
    assert (last.outcome, "happened already" in last.reason) == ("succeeded", True)
    assert b"".join(reading.text(run.steps.get())) == b"looking, check\n"


def test_what_has_not_happened_is_done_with_the_same_key(world, node, place):
    run = world.run(paying(place))
    held = lost(run)
    again(run, node)
    assert both(run) == ("succeeded", "succeeded")
    assert paid(place) == [held.attempt.idempotency_key]
    assert b"".join(reading.text(run.steps.get())) == b"looking, check\npaid\n"
    assert [one.seq for one, _ in reading.pieces(run.steps.get())] == [1, 2]


@pytest.mark.parametrize(
    ("check", "words"),
    [("exit 2", "Exit code 2"), ("sleep 9", "longer than its timeout"), ("kill -9 $$", "signal 9"),
     ("exec /no/such/program", "Exit code 127")],
)  # fmt: skip
def test_a_check_without_an_answer_asks_a_person_and_runs_nothing(world, node, place, check, words):
    run = world.run(paying(place, check=check))
    lost(run)
    again(run, node)
    assert both(run) == ("unknown", "unknown")
    last = StepAttempt.objects.get(number=2)
    assert last.outcome == "unknown"
    assert last.reason.startswith("Its check gave no answer: ")
    assert words in last.reason
    assert paid(place) == []


def test_a_worker_that_vanishes_each_time_ends_at_a_person(world, place):
    run = world.run(paying(place))
    for _ in range(4):
        lost(run)
    assert states(run) == {"pay": "unknown"}


# --- a person's word ------------------------------------------------------------------------------------------


def doubtful(world, place, **more):
    run = world.run(paying(place, **more))
    for _ in range(4):
        lost(run)
    return run


def test_a_person_who_says_that_it_did_not_run_is_believed_without_asking_again(world, node, place):
    run = doubtful(world, place, check="exit 2")
    resolve(run.steps.get(), "retry", by=world.witness, reason="The bank shows nothing.")
    again(run, node)
    assert both(run) == ("succeeded", "succeeded")
    assert len(paid(place)) == 1
    assert StepAttempt.objects.get(number=4).answer == "retry"


def test_a_person_may_let_the_check_decide(world, node, place):
    run = doubtful(world, place)
    (place / "paid").write_text(f"{run.steps.get().pk}\n")
    resolve(run.steps.get(), "check", by=world.witness, reason="It answers again.")
    again(run, node)
    assert both(run) == ("succeeded", "succeeded")
    assert len(paid(place)) == 1


def test_a_step_without_a_check_has_none_to_ask(world):
    run = world.run(step("a"))
    lost(run)
    with pytest.raises(MoveNotAllowed, match="no check"):
        resolve(run.steps.get(), "check", by=world.witness, reason="Let it look.")


# --- an action's own check ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "state", "words"),
    [
        ("yes", "succeeded", "happened already"),
        ("no", "succeeded", ""),
        ("", "unknown", "LookupError: nothing"),
    ],
)
def test_an_action_tells_by_itself(monkeypatch, told, state, words):
    monkeypatch.setattr(registry, "known", lambda: {"probe": Probe()})
    one = Watched({"happened": told}, uses="probe", check={})
    outcome = one.run()
    assert outcome.state == state
    assert words in outcome.reason
    assert ("pid" in outcome.outputs) is (told == "no")  # only then was it run
    assert outcome.asks is (state == "unknown")


def test_a_check_that_is_stopped_leaves_a_doubt_and_no_cancelled_step():
    one = Watched([sys.executable, "-c", "print('ran')"], check={"argv": ["/bin/sleep", "9"]})
    one.control.cancel("stop")
    outcome = one.run()
    assert (outcome.state, outcome.asks) == ("unknown", False)
    assert "ran" not in one.text


# --- as code --------------------------------------------------------------------------------------------------


def test_the_check_is_in_what_is_signed_with_its_script():
    one = load(DEFINITION, FILES).document["spec"]["steps"][0]
    assert checks.signed(one, {"inputs.order": "7"}) == {
        "check": {"argv": ["./paid.sh", "7"], "timeout_seconds": 10}
    }
    assert checks.programs(one) == {"paid.sh"}


@pytest.mark.parametrize(
    ("was", "becomes", "words"),
    [
        ("      check: {argv: [./paid.sh, \"{{inputs.order}}\"], timeout: 10s}\n", "", "reconcilable needs a check"),
        ("effect: reconcilable", "effect: idempotent", "a check is asked of a reconcilable step only"),
        ("{argv: [./paid.sh", "{argv: [./paid.sh, \"{{inputs.nothing}}\"", "refers to nothing"),
        ("timeout: 10s", "timeout: soon", "does not match"),
        ("argv: [./paid.sh, \"{{inputs.order}}\"], ", "", "lacks argv"),
    ],
)  # fmt: skip
def test_a_check_that_cannot_be_one_is_refused_with_its_line(was, becomes, words):
    assert was in DEFINITION
    with pytest.raises(BadDefinition, match="line 1") as refused:
        load(DEFINITION.replace(was, becomes), FILES)
    assert words in str(refused.value)
