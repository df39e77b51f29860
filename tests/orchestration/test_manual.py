"""`manual`: a step that a person ticks off. It starts through the gate, waits without a worker, and counts once."""

import re

import pytest
from django.db import connection
from django.test import Client

from accounts import teams
from accounts.acting import Acting
from audit.ledger import openings
from audit.models import Entry
from audit.refusals import Invalid, MoveNotAllowed, NotAllowed
from config import navigation
from orchestration.definitions.source import BadDefinition
from orchestration.definitions.workflow import load
from orchestration.engine import cancel
from orchestration.engine.answers import answer
from orchestration.engine.flow import following
from orchestration.engine.nodes import Node
from orchestration.engine.reconcile import reconcile
from orchestration.engine.work import work
from orchestration.models import Run, Step, StepAttempt
from tests.accounts.cast import bearer, issue
from tests.browser import Browser
from tests.factories import DEPLOY, TEST, Bank
from tests.orchestration.deeds import both, claimed, told
from tests.orchestration.test_claim import together
from tests.orchestration.world import states

pytestmark = pytest.mark.django_db(transaction=True)
MANUAL = (
    DEPLOY[: DEPLOY.index("  steps:")]
    + """  steps:
    switch:
      title: Switch the valve
      uses: manual
      with:
        instructions: |-
          Go to hall 7.
          Turn valve {{inputs.version}} to the left.
        note: required
        outputs:
          pressure: {type: integer, title: Pressure in bar, minimum: 0, maximum: 9}
      timeout: 2h
    after: {needs: [switch], uses: wait, with: {seconds: 0}}
"""
)
SAID = {"decision": "done", "note": "Valve 42 is to the left.", "outputs": {"pressure": 4}}


def bank_of(definition):
    return Bank(definition)


@pytest.fixture
def bank():
    return Bank(MANUAL)


def asked(bank):
    """A run whose first step waits for a person."""
    run = bank.approved().runs.get()
    work_ready(run)
    assert states(run)["switch"] == "asking"
    return run


def work_ready(run):
    node = Node()
    node.register()
    for one in Step.objects.filter(run=run, state="ready"):
        work(one.pk, node=node)
    node.stop()


def say(run, who, **said):
    return answer(run.steps.get(key="switch"), by=who, **{**SAID, **said})


def page(bank, who, address):
    client = Client()
    client.force_login(bank.user(who))
    return client, client.get(address).content.decode()


# --- its life -------------------------------------------------------------------------------------------------


def test_it_starts_through_the_gate_and_waits_without_a_worker(bank):
    run = asked(bank)
    step = run.steps.get(key="switch")
    assert (step.lease_owner, step.attempt, both(run)) == (None, 1, ("running", "running"))
    assert Run.objects.get().permit is not None
    assert told("step.asking") == told("permit.issued") == 1
    assert claimed(step) is None
    assert reconcile()["reaped"] == 0
    assert states(run) == {"switch": "asking", "after": "blocked"}


def test_what_holds_up_a_start_holds_it_up_too(bank):
    run = bank.approved().runs.get()
    cancel.cancel(run, by=bank.people["jonas"])
    work_ready(run)
    assert states(run)["switch"] == "cancelled"
    assert told("step.asking") == 0


def test_a_person_ticks_it_off_and_the_run_goes_on(bank):
    run = asked(bank)
    say(run, bank.people["jonas"])
    step = run.steps.get(key="switch")
    assert (step.state, step.outputs) == ("succeeded", {"pressure": 4})
    assert StepAttempt.objects.get().reason == SAID["note"]
    entry = Entry.objects.filter(kind="step.succeeded").latest("id")
    data = openings.data(entry)
    assert (entry.actor, data["decision"], data["reason"], data["was"]) == (
        str(bank.user("jonas").pk), "done", SAID["note"], "asking",
    )  # fmt: skip
    work_ready(run)
    assert both(run) == ("succeeded", "succeeded")


def test_a_person_may_say_that_it_failed(bank):
    run = asked(bank)
    say(run, bank.people["jonas"], decision="failed", note="The valve is stuck.")
    assert states(run) == {"switch": "failed", "after": "skipped"}
    assert both(run) == ("failed", "failed")


def test_nobody_answers_for_ever(bank):
    run = asked(bank)
    assert reconcile()["unanswered"] == 0
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE orchestration_step DISABLE TRIGGER USER")
        cursor.execute(
            "UPDATE orchestration_step SET started_at = now() - interval '121 minutes' WHERE key = 'switch'"
        )
        cursor.execute("ALTER TABLE orchestration_step ENABLE TRIGGER USER")
    assert reconcile()["unanswered"] == 1
    assert states(run) == {"switch": "timed_out", "after": "skipped"}
    assert both(run) == ("failed", "failed")


def test_stopping_the_run_calls_the_question_off(bank):
    run = asked(bank)
    cancel.cancel(run, by=bank.people["jonas"])
    assert states(run) == {"switch": "cancelled", "after": "cancelled"}
    assert both(run) == ("cancelled", "cancelled")
    with pytest.raises(MoveNotAllowed):
        say(run, bank.people["jonas"])


def test_a_failure_elsewhere_lets_the_person_end_what_they_began():
    def of(**states):
        return [Step(key=key, state=state, needs=[]) for key, state in states.items()]

    follows = following(of(a="asking", b="failed", c="ready"), cancelling=False)
    assert (follows.run, [one.key for one in follows.skipped], follows.cancelled) == (None, ["c"], [])
    called_off = following(of(a="asking", c="ready"), cancelling=True)
    assert ([one.key for one in called_off.cancelled], called_off.run) == (["c", "a"], "cancelled")


# --- who ------------------------------------------------------------------------------------------------------


def test_whoever_asked_for_the_change_does_not_tick_it_off(bank):
    run = asked(bank)
    refused = Browser(bank, "mara").post(f"runs/{run.key}/steps/switch/answer/", SAID)
    assert (refused.status_code, refused.json()["code"]) == (403, "not_allowed")
    assert states(run)["switch"] == "asking"


def test_anyone_may_mean_the_requester_as_well():
    bank = bank_of(MANUAL.replace("note: required", "note: required\n        by: anyone"))
    run = asked(bank)
    say(run, bank.people["mara"])
    assert states(run)["switch"] == "succeeded"


def test_only_the_team_that_the_step_names_ticks_it_off():
    bank = bank_of(MANUAL.replace("note: required", "note: required\n        team: security"))
    run = asked(bank)
    jonas = Browser(bank, "jonas").post(f"runs/{run.key}/steps/switch/answer/", SAID)
    assert (jonas.status_code, "People of security" in jonas.json()["detail"]) == (403, True)
    with pytest.raises(NotAllowed, match="you are not in it"):
        say(run, bank.people["jonas"])
    teams.leave(bank.teams["security"], bank.user("noor"), by=TEST)
    with pytest.raises(NotAllowed):
        say(run, bank.people["noor"])
    assert Browser(bank, "ines").post(f"runs/{run.key}/steps/switch/answer/", SAID).status_code == 200


def test_no_machine_ticks_anything_off(bank):
    run = asked(bank)
    issued = issue(bank.user("jonas"), "runs:write", by=bank.people["jonas"])
    answered = Client().post(
        f"/api/v1/runs/{run.key}/steps/switch/answer/",
        SAID,
        content_type="application/json",
        **bearer(issued),
    )
    assert answered.status_code == 403
    with pytest.raises(NotAllowed, match="Only a person"):
        say(run, Acting(bank.user("jonas"), "token"))


def test_it_is_ticked_off_once_however_many_try(bank):
    run = asked(bank)
    outcomes = together(*[lambda: say(run, bank.people["jonas"]), lambda: say(run, bank.people["noor"])] * 2)
    assert sum(isinstance(one, MoveNotAllowed) for one in outcomes) == 3
    again = Browser(bank, "jonas").post(f"runs/{run.key}/steps/switch/answer/", SAID)
    assert (again.status_code, again.json()["code"]) == (409, "move_not_allowed")
    assert told("step.succeeded") == 1


def test_a_row_that_was_altered_is_not_what_was_signed(bank):
    run = asked(bank)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE orchestration_step DISABLE TRIGGER USER")
        cursor.execute(
            "UPDATE orchestration_step SET spec = jsonb_set(spec, '{with,by}', '\"anyone\"') WHERE key = 'switch'"
        )
        cursor.execute("ALTER TABLE orchestration_step ENABLE TRIGGER USER")
    refused = Browser(bank, "jonas").post(f"runs/{run.key}/steps/switch/answer/", SAID)
    assert refused.json()["code"] == "step_altered"


# --- what is said ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "pointer"),
    [
        ({"note": " "}, "/note"), ({"note": "x" * 2001}, "/note"), ({"decision": "maybe"}, "/decision"),
        ({"outputs": {}}, "/outputs/pressure"), ({"outputs": {"pressure": 10}}, "/outputs/pressure"),
        ({"outputs": {"pressure": "4"}}, "/outputs/pressure"),
        ({"outputs": {"pressure": 4, "more": 1}}, "/outputs/more"), ({"outputs": []}, "/outputs"),
        ({"decision": "failed", "note": ""}, "/note"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_by_its_field(bank, said, pointer):
    run = asked(bank)
    with pytest.raises(Invalid) as refused:
        say(run, bank.people["jonas"], **said)
    assert refused.value.errors[0]["pointer"] == pointer
    assert states(run)["switch"] == "asking"


@pytest.mark.parametrize(
    ("was", "becomes", "words"),
    [
        ("note: required", "note: maybe", "note"),
        ("type: integer, title", "type: float, title", "float"),
        ("instructions: |-", "instruction: |-", "instruction"),
        ("timeout: 2h", "secret: x", "takes no secret"),
    ],
)  # fmt: skip
def test_a_definition_that_asks_for_nonsense_is_refused(was, becomes, words):
    assert was in MANUAL
    with pytest.raises(BadDefinition, match=words):
        load(MANUAL.replace(was, becomes))


def test_a_team_that_there_is_not_is_told_to_whoever_asks():
    bank = bank_of(MANUAL.replace("note: required", "note: required\n        team: nobodies"))
    with pytest.raises(Invalid, match="no team nobodies"):
        bank.change()


# --- the page -------------------------------------------------------------------------------------------------


def test_the_page_shows_what_to_do_and_takes_the_answer(bank):
    run = asked(bank)
    client, shown = page(bank, "jonas", f"/runs/{run.key}/")
    assert "Go to hall 7.<br>Turn valve 42 to the left." in shown
    assert "Pressure in bar" in shown
    wrong = {"decision": "done", "note": "I looked.", "outputs-switch.pressure": "12"}
    again = client.post(f"/runs/{run.key}/steps/switch/answer/", wrong)
    assert again.status_code == 422
    assert 'value="12"' in again.content.decode()
    assert "I looked." in again.content.decode()
    right = {**wrong, "outputs-switch.pressure": "4"}
    assert client.post(f"/runs/{run.key}/steps/switch/answer/", right).status_code == 302
    assert run.steps.get(key="switch").outputs == {"pressure": 4}


def test_whoever_is_not_asked_sees_who_is_and_no_form(bank):
    run = asked(bank)
    _, shown = page(bank, "mara", f"/runs/{run.key}/")
    assert "somebody else does this" in shown
    assert "It is done" not in shown


def test_the_inbox_shows_it_to_whoever_is_asked(bank):
    asked(bank)
    assert "Steps for you to do" in page(bank, "jonas", "/inbox/")[1]
    assert "Steps for you to do" not in page(bank, "mara", "/inbox/")[1]
    assert "Steps for you to do" not in page(bank, "ravi", "/inbox/")[1]


def test_the_api_and_the_counts_know_what_somebody_is_asked_to_do(bank):
    run = asked(bank)
    at = {who: Browser(bank, who) for who in ("jonas", "mara")}
    (row,) = at["jonas"].get("me/inbox/").json()["steps"]
    assert (row["run"], row["step"], row["change"]) == (run.key, "switch", run.change.key)
    assert at["mara"].get("me/inbox/").json()["steps"] == []
    counts = {who: navigation.COUNTS["/inbox/"](bank.user(who)) for who in at}
    assert counts == {"jonas": 1, "mara": 0}
    shown = " ".join(page(bank, "jonas", "/inbox/")[1].split())
    assert re.search(r"Needs my decision\W.{0,80}\b1\b", shown), shown[shown.index("Needs my decision") :][
        :200
    ]
