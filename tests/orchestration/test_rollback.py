"""Rolling back: a change of its own, out of what was signed, in reverse order; asked for, never by itself."""

import pytest
from django.db import IntegrityError, connection, transaction

from audit.canonical import parse
from audit.models import Entry
from audit.refusals import Invalid, NotFound
from orchestration import asking, changes
from orchestration.definitions import undo
from orchestration.definitions.source import BadDefinition
from orchestration.definitions.workflow import load
from orchestration.models import Change
from orchestration.undoing import NoRollback
from tests.factories import Bank
from tests.orchestration.deeds import ended, holding
from tests.orchestration.test_claim import together

pytestmark = pytest.mark.django_db(transaction=True)
DEFINITION = """
apiVersion: countersign.dev/v1
kind: Workflow
metadata: {name: deploy, title: Deploy, owner: payments}
spec:
  summary: Deploy {{service}} {{version}} to {{environment}}
  inputs:
    version: {type: string, pattern: '^[0-9]+$', title: Version}
  environments: [staging, production]
  steps:
    build: {uses: wait, with: {seconds: 0}}
    copy:
      needs: [build]
      effect: at_most_once
      uses: wait
      with: {seconds: 1}
      rollback: {title: Take the copy away, uses: command, with: {argv: [/bin/echo, "{{inputs.version}}"]}, timeout: 2m}
    look: {needs: [copy], uses: wait, with: {seconds: 0}}
    switch: {needs: [look], uses: wait, with: {seconds: 2}, rollback: {uses: wait, with: {seconds: 3}}}
    flag:
      needs: [look]
      when: "inputs.version == '7'"
      uses: wait
      with: {seconds: 2}
      rollback: {uses: wait, with: {seconds: 4}}
    smoke: {phase: verify, uses: wait, with: {seconds: 0}}
"""


@pytest.fixture
def bank():
    return Bank(DEFINITION)


def ran(bank, *outcomes):
    """A change whose steps ended like this, one after the other."""
    change = bank.approved()
    for outcome in outcomes:
        ready = change.runs.get().steps.filter(state="ready").first()
        ended(holding(ready), outcome)
    return Change.objects.get(pk=change.pk)


def ask(bank, change, who="mara", reason="It broke."):
    change = Change.objects.select_related("rolls_back").get(pk=change.pk)
    return changes.request_change(asking.ask_rollback(change, reason=reason, by=bank.people[who]))


def document(change):
    revision = Change.objects.get(pk=change.pk).revision
    assert revision is not None
    return parse(bytes(revision.document))


def test_a_rollback_is_a_change_of_its_own_with_the_signed_parts_in_reverse_order(bank):
    change = ran(bank, *["succeeded"] * 5)
    assert change.state == "succeeded"
    back = ask(bank, change)
    said = document(back)
    assert [(one["key"], one["needs"], one["title"]) for one in said["steps"]] == [
        ("undo.switch", [], "Undo: switch"),
        ("undo.copy", ["undo.switch"], "Take the copy away"),
    ]
    assert said["steps"][1]["with"] == {"argv": ["/bin/echo", "42"]}
    assert said["steps"][1]["timeout_seconds"] == 120
    assert said["rolls_back"] == {"change": change.key, "digest": change.revision.digest}
    assert (back.state, back.rolls_back, back.title) == (
        "waiting",
        change,
        f"Roll back {change.key}: {change.title}",
    )
    assert back.revision.digest != change.revision.digest
    assert back.revision.chain.decision.input["change"]["rolls_back"] == change.key
    entry = Entry.objects.get(kind="change.requested", subject=back.key)
    assert parse(bytes(entry.body))["data"]["rolls_back"] == change.key


def test_what_undoes_a_step_may_be_asked_whether_it_has_and_has_limits_of_its_own():
    more = """, effect: reconcilable, check: {argv: [/bin/true], timeout: 5s}, limits: {memory: 64MiB}}"""
    bank = Bank(DEFINITION.replace(", timeout: 2m}", more))
    step = document(ask(bank, ran(bank, *["succeeded"] * 5)))["steps"][1]
    assert (step["effect"], step["limits"]) == ("reconcilable", {"memory": 64 << 20})
    assert step["check"] == {"argv": ["/bin/true"], "timeout_seconds": 5}
    with pytest.raises(BadDefinition, match="reconcilable needs a check"):
        load(DEFINITION.replace(", timeout: 2m}", ", effect: reconcilable}"))
    with pytest.raises(BadDefinition, match=r"limits\.memory is"):
        load(DEFINITION.replace(", timeout: 2m}", ", limits: {memory: 999999GiB}}"))


def test_it_is_signed_off_and_runs_like_any_other(bank):
    back = ask(bank, ran(bank, *["succeeded"] * 5))
    assert not back.runs.exists()
    bank.say(back, "jonas")
    bank.say(back, "noor")
    run = back.runs.get()
    for key in ("undo.switch", "undo.copy"):
        ended(holding(run.steps.get(key=key)))
    back.refresh_from_db()
    assert back.state == "succeeded"


def test_only_what_ran_is_undone_and_that_includes_what_failed_midway(bank):
    failed = ran(bank, "succeeded", "succeeded", "succeeded", "failed")
    assert [one["key"] for one in document(ask(bank, failed))["steps"]] == ["undo.switch", "undo.copy"]
    early = ran(bank, "succeeded", "failed")
    assert [one["key"] for one in document(ask(bank, early))["steps"]] == ["undo.copy"]


def test_what_was_stopped_while_it_ran_is_undone(bank):
    change = ran(bank, "succeeded", "succeeded", "succeeded")
    held = holding(change.runs.get().steps.get(key="switch"))
    changes.cancel(change, by=bank.people["mara"])
    ended(held, "cancelled")
    assert [one["key"] for one in document(ask(bank, change))["steps"]] == ["undo.switch", "undo.copy"]


@pytest.mark.parametrize(
    ("outcomes", "words"),
    [
        ((), "only what ran and has ended"),
        (("succeeded",), "only what ran and has ended"),
        (("succeeded", "unknown"), "Say first what became"),
        (("failed",), "says how it is undone"),
    ],
)
def test_what_has_not_ended_or_left_nothing_is_not_rolled_back(bank, outcomes, words):
    with pytest.raises(NoRollback, match=words):
        ask(bank, ran(bank, *outcomes))


def test_what_never_started_is_not_rolled_back(bank):
    change = bank.approved()
    changes.cancel(change, by=bank.people["mara"])
    with pytest.raises(NoRollback, match="was started"):
        ask(bank, change)


def test_a_rollback_is_not_rolled_back(bank):
    back = ask(bank, ran(bank, *["succeeded"] * 5))
    with pytest.raises(NoRollback, match="is itself the rollback of"):
        ask(bank, back)


def test_one_change_rolls_another_back_at_a_time_and_again_when_that_came_to_nothing(bank):
    change = ran(bank, *["succeeded"] * 5)
    back = ask(bank, change)
    with pytest.raises(NoRollback, match=f"{back.key} is there to roll"):
        ask(bank, change)
    changes.withdraw(back, by=bank.people["mara"])
    again = ask(bank, change)
    assert list(change.rolled_back_by.order_by("number")) == [back, again]


def test_of_two_people_who_ask_at_once_one_does(bank):
    change = ran(bank, *["succeeded"] * 5)
    asked = [asking.ask_rollback(change, reason="Back.", by=bank.people[who]) for who in ("mara", "jonas")]

    def request(one):
        try:
            return changes.request_change(one)
        except NoRollback:
            return None

    done = together(lambda: request(asked[0]), lambda: request(asked[1]))
    assert sum(one is not None for one in done) == 1


def test_the_database_too_knows_one_rollback_of_a_change(bank):
    change = ran(bank, *["succeeded"] * 5)
    ask(bank, change)
    other = bank.change()
    with pytest.raises(IntegrityError, match="rolled_back_once"), transaction.atomic():
        Change.objects.filter(pk=other.pk).update(rolls_back=change, version=other.version + 1)


def test_who_may_not_request_may_not_roll_back(bank):
    change = ran(bank, *["succeeded"] * 5)
    with pytest.raises(NotFound):
        ask(bank, change, who="ravi")


def test_a_rollback_says_why(bank):
    with pytest.raises(Invalid, match="Say why now"):
        ask(bank, ran(bank, *["succeeded"] * 5), reason=" ")


def test_what_a_rollback_does_is_not_edited_but_its_reason_is(bank):
    back = ask(bank, ran(bank, *["succeeded"] * 5))
    steps, mara = document(back)["steps"], bank.people["mara"]
    back = Change.objects.select_related("rolls_back").get(pk=back.pk)
    with pytest.raises(Invalid, match="comes from"):
        asking.ask_again(back, inputs={"version": "43"}, reason="Other.", by=mara)
    changes.revise(back, asking.ask_again(back, inputs={"version": "42"}, reason="Better said.", by=mara))
    assert (document(back)["steps"], document(back)["reason"]) == (steps, "Better said.")


def test_a_text_in_the_row_that_nobody_signed_is_not_believed(bank):
    change = ran(bank, *["succeeded"] * 5)
    data = bytes(change.revision.document).replace(b"/bin/echo", b"/bin/evil")
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE orchestration_revision SET document = %s", [data])
    with pytest.raises(NoRollback, match="not what its permit names"):
        ask(bank, change)


#   a* --> b --> c*        what has a star is undone: c, then a; d* beside them
#    \--> d*
def test_the_order_is_turned_round_step_by_step():
    back = {"rollback": {"title": "", "uses": "wait"}}
    steps = [
        {"key": "a", "needs": [], "title": "", **back},
        {"key": "b", "needs": ["a"], "title": ""},
        {"key": "c", "needs": ["b"], "title": "", **back},
        {"key": "d", "needs": ["a"], "title": "", **back},
    ]
    found = undo.steps({"steps": steps}, {"a", "b", "c", "d"})
    assert {one["key"]: sorted(one["needs"]) for one in found} == {
        "undo.d": [],
        "undo.c": [],
        "undo.a": ["undo.c", "undo.d"],
    }
    assert [one["key"] for one in undo.steps({"steps": steps}, {"a", "b", "d"})] == ["undo.d", "undo.a"]
