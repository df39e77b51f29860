"""Plan, review, apply: what is found out first is what is signed, and exactly that is applied."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from approvals.policy.engine import PolicyUnavailable
from audit.canonical import parse
from audit.models import Entry
from audit.refusals import Invalid, MoveNotAllowed, NotAllowed, StaleVersion
from orchestration import asking, changes, planning
from orchestration.changes import NotWaiting
from orchestration.definitions.repeats import Repeat
from orchestration.engine.invariants import violations
from orchestration.engine.reconcile import reconcile
from orchestration.models import Artifact, Change, Plan, Run, Step
from orchestration.revisions import PlanNotSigned
from tests.abuse.attack import activate
from tests.approvals.authenticator import Authenticator, trusted
from tests.approvals.cast import demand_passkeys
from tests.factories import Bank
from tests.orchestration.deeds import ended, holding, vanish
from tests.orchestration.planned import (
    FILES,
    PLANNED,
    approved,
    asked,
    edited,
    fresh,
    newest,
    now,
    planned,
    printed,
    told,
    wait,
    work_all,
)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def place(tmp_path):
    now(tmp_path, "version 41\n")
    return tmp_path


@pytest.fixture
def bank(place):
    return Bank(PLANNED, FILES)


# --- asking and planning ------------------------------------------------------------------------------------


def test_what_is_asked_for_is_planned_before_anybody_is_asked(bank, place):
    change = fresh(asked(bank, place))
    assert (change.state, change.revision) == ("draft", None)
    run = change.runs.get()
    assert (run.revision, run.plan, run.digest) == (None, newest(change), newest(change).digest)
    assert [step.key for step in run.steps.all()] == ["look"]


def test_what_was_found_is_in_what_is_signed_and_exactly_that_is_applied(bank, place):
    change = planned(bank, place)
    assert (change.state, change.revision.number) == ("waiting", 1)
    artifact = Artifact.objects.get()
    document = parse(bytes(change.revision.document))
    assert document["plan"] == [
        {"step": "look", "name": "next", "digest": artifact.digest, "bytes": len("version 41\nversion 42\n")}
    ]
    bank.say(change, "jonas")
    bank.say(change, "noor")
    now(place, "version 99\n")
    work_all()
    assert fresh(change).state == "succeeded"
    assert (place / "next").read_text() == "version 41\nversion 42\n"
    assert printed() == "plan\napply version 41 version 42 \n"
    assert not any(violations().values())


def test_policy_is_asked_with_what_was_found_and_not_told_what_nobody_counted(bank, place):
    told_before = newest(asked(bank, place)).decision.input["change"]["plan"]
    work_all()
    decided = fresh(Change.objects.get()).revision.chain.decision.input["change"]["plan"]
    assert told_before is None
    assert (decided["changes"], decided["destroys"]) == (None, None)
    assert decided["digest"].startswith("sha256:")


def test_a_summary_is_counted_for_policy(bank, place):
    (place / "summary").write_text(
        '{"v": 1, "changes": [{"what": "a", "action": "delete"}, {"what": "b", "action": "create"},'
        ' {"what": "c", "action": "read"}, {"what": "d", "action": "update", "irreversible": true}]}'
    )
    decided = planned(bank, place).revision.chain.decision.input["change"]["plan"]
    assert (decided["changes"], decided["destroys"]) == (3, 2)


def test_the_change_is_asked_in_the_name_of_its_requester(bank, place):
    change = planned(bank, place)
    entry = Entry.objects.get(kind="change.requested", subject=change.key)
    assert entry.actor == str(bank.user("mara").pk)
    assert change.revision.chain.conflicted == [bank.user("mara").person_id]
    assert Entry.objects.get(kind="plan.settled").actor == "system:planner"


def test_each_thing_that_was_found_has_its_entry(bank, place):
    planned(bank, place)
    (kept,), (permit,) = told("artifact.kept"), told("permit.issued")
    artifact = Artifact.objects.get()
    assert (kept["digest"], kept["bytes"], kept["step"]) == (artifact.digest, artifact.size, "look")
    assert (permit["purpose"], permit["chain"], permit["sign_offs"]) == ("plan", None, [])


def test_a_plan_that_failed_says_why_and_asks_nobody(bank, place):
    (place / "broken").touch()
    change = planned(bank, place)
    assert (change.state, change.revision, newest(change).run.state) == ("draft", None, "failed")
    assert Step.objects.get().attempts.get().reason == "The place cannot be read."
    (place / "broken").unlink()
    planning.again(change, by=bank.people["mara"])
    work_all()
    assert (fresh(change).state, newest(change).number, newest(change).again) == ("waiting", 2, True)


def test_a_draft_can_be_withdrawn_while_its_plan_steps_look(bank, place):
    change = asked(bank, place)
    held = holding(Step.objects.get())
    changes.withdraw(change, by=bank.people["mara"])
    assert fresh(change).state == "withdrawn"
    ended(held, "cancelled")
    assert newest(change).run.state == "cancelled"
    work_all()
    assert (fresh(change).state, newest(change).outcome) == ("withdrawn", "")


def test_what_was_found_of_a_change_that_went_on_is_moot(bank, place):
    change = asked(bank, place)
    held = holding(Step.objects.get())
    changes.withdraw(change, by=bank.people["mara"])
    ended(held, artifacts={"next": b"x"})
    planning.sweep()
    assert (fresh(change).state, newest(change).run.state) == ("withdrawn", "succeeded")
    assert newest(change).outcome == "moot"


def test_nobody_decides_on_a_draft(bank, place):
    change = asked(bank, place)
    with pytest.raises(MoveNotAllowed, match="being planned"):
        changes.decide(
            change, stage=change.pk, decision="approve", digest="", chain_digest="", comment="", condition="",
            by=bank.people["jonas"],
        )  # fmt: skip


def test_what_comes_back_is_not_planned_first(bank, place):
    begins = timezone.now().replace(microsecond=0) + timedelta(hours=1)
    window = {"not_before": begins, "not_after": begins + timedelta(hours=1)}
    with pytest.raises(Invalid, match="happens once") as refused:
        asked(bank, place, repeats=Repeat("UTC", "FREQ=DAILY;COUNT=2"), **window)
    assert refused.value.errors[0]["pointer"] == "/repeats"
    assert not Change.objects.exists()


# --- editing, and planning again ----------------------------------------------------------------------------


def test_an_edit_plans_again_and_nothing_of_before_stands(bank, place):
    change = approved(bank, place)
    run = change.runs.get(plan=None)
    edited(bank, change, "43", place)
    change = fresh(change)
    assert (change.state, change.revision.chain.state) == ("draft", "void")
    assert Run.objects.get(pk=run.pk).state == "cancelled"
    work_all()
    change = fresh(change)
    assert (change.state, change.revision.number) == ("waiting", 2)
    assert bytes(change.revision.plan.artifacts.get().data) == b"version 41\nversion 43\n"
    assert not change.revision.chain.sign_offs.exists()


def test_an_edit_while_plan_steps_look_ends_them(bank, place):
    change = asked(bank, place)
    held = holding(Step.objects.get())
    edited(bank, change, "43", place)
    ended(held, "cancelled")
    work_all()
    change = fresh(change)
    assert (change.state, change.revision.number, newest(change).number) == ("waiting", 1, 2)
    assert change.plans.get(number=1).run.state == "cancelled"


def test_of_two_edits_of_one_draft_the_second_has_to_look_again(bank, place):
    change = asked(bank, place)
    inputs = {"version": "43", "place": str(place)}
    ready = [
        asking.ask_again(fresh(change), inputs=inputs, reason="Other.", by=bank.people["mara"]) for _ in "12"
    ]
    changes.revise(fresh(change), ready[0])
    with pytest.raises(StaleVersion):
        changes.revise(fresh(change), ready[1])


def test_a_plan_that_finds_the_same_leaves_the_sign_offs(bank, place):
    change = planned(bank, place)
    bank.say(change, "jonas")
    planning.again(change, by=bank.people["noor"])
    work_all()
    assert (newest(change).outcome, fresh(change).revision.number) == ("same", 1)
    assert fresh(change).revision.chain.sign_offs.count() == 1
    bank.say(change, "noor")
    work_all()
    assert fresh(change).state == "succeeded"


def test_a_plan_that_finds_something_else_voids_every_sign_off(bank, place):
    change = approved(bank, place)
    wait(change)
    old, digest = change.revision, change.revision.digest
    planning.again(change, by=bank.people["noor"])
    now(place, "version 41.5\n")
    held = holding(Step.objects.get(run__plan=newest(change)))
    assert held.attempt.phase == "plan"
    ended(held, artifacts={"next": b"version 41.5\nversion 42\n"})
    planning.sweep()
    change = fresh(change)
    assert (change.state, change.revision.number, change.revision.author) == ("waiting", 2, old.author)
    assert change.revision.digest != digest
    assert old.chain.sign_offs.count() == 2
    old.chain.refresh_from_db()
    assert old.chain.state == "void"
    assert [run.state for run in change.runs.filter(plan=None)] == ["cancelled"]
    assert bank.user("noor").person_id not in change.revision.chain.conflicted


def test_whoever_may_neither_edit_nor_decide_does_not_plan_again(bank, place):
    change = planned(bank, place)
    with pytest.raises(NotAllowed):
        planning.again(change, by=bank.people["ravi"])
    assert change.plans.count() == 1


def test_it_is_not_planned_twice_at_once(bank, place):
    change = asked(bank, place)
    with pytest.raises(MoveNotAllowed, match="being planned"):
        planning.again(change, by=bank.people["mara"])


def test_what_has_started_is_not_planned_again(bank, place):
    change = approved(bank, place)
    holding(Step.objects.get(run__plan=None))
    with pytest.raises(MoveNotAllowed, match="running"):
        planning.again(change, by=bank.people["mara"])


def test_a_change_that_plans_nothing_is_not_planned_again(place):
    bank = Bank()
    with pytest.raises(MoveNotAllowed, match="plans nothing"):
        planning.again(bank.change(), by=bank.people["mara"])


# --- when something is lost ---------------------------------------------------------------------------------


def test_what_was_found_is_settled_by_whoever_looks_next(bank, place):
    """The hint was lost with its worker: the plan's row says what is still to be done."""
    change = asked(bank, place)
    ended(holding(Step.objects.get()), artifacts={"next": b"x"})
    assert (fresh(change).state, newest(change).outcome) == ("draft", "")
    assert planning.sweep() == 1
    assert fresh(change).state == "waiting"
    assert planning.sweep() == 0


def test_policy_that_cannot_be_asked_is_asked_again_later(bank, place, monkeypatch):
    change = asked(bank, place)
    ended(holding(Step.objects.get()), artifacts={"next": b"x"})

    def away(*_):
        raise PolicyUnavailable("The policy engine is away.")

    with monkeypatch.context() as patch:
        patch.setattr("orchestration.asking.policy.decide", away)
        planning.sweep()
    assert (fresh(change).state, newest(change).outcome) == ("draft", "")
    planning.sweep()
    assert fresh(change).state == "waiting"


def test_a_plan_step_whose_worker_vanished_looks_again_by_itself(bank, place):
    change = asked(bank, place)
    holding(Step.objects.get())
    vanish()
    reconcile()
    work_all()
    assert (fresh(change).state, Step.objects.get().attempt) == ("waiting", 2)


def test_what_a_fenced_worker_found_is_not_kept(bank, place):
    asked(bank, place)
    late = holding(Step.objects.get())
    vanish()
    reconcile()
    again = holding(Step.objects.get())
    ended(late, artifacts={"next": b"late"})
    ended(again, artifacts={"next": b"in time"})
    assert bytes(Artifact.objects.get().data) == b"in time"


# --- what comes of it when nobody may agree -----------------------------------------------------------------

FORBIDS = """
package countersign.change

# METADATA
# title: Nothing is destroyed
# description: A plan that destroys ends here.
# custom:
#   rule: nothing-destroyed
deny contains {"rule": "nothing-destroyed", "message": "It would destroy something."} if {
	input.change.plan.destroys > 0
}
"""


def forbid():
    sources = {path.stem: path.read_text() for path in Path("examples/policies/starter").glob("*.rego")}
    activate(**{name: text for name, text in sources.items() if "_test" not in name}, never=FORBIDS)


def destroying(place):
    (place / "summary").write_text('{"v": 1, "changes": [{"what": "a", "action": "delete"}]}')


def test_policy_that_denies_what_was_found_ends_the_change_in_its_own_words(bank, place):
    forbid()
    destroying(place)
    change = planned(bank, place)
    assert (change.state, change.revision, newest(change).outcome) == ("rejected", None, "denied")
    assert "It would destroy something." in newest(change).why


def test_policy_that_denies_what_was_found_anew_ends_what_was_approved(bank, place):
    forbid()
    change = approved(bank, place)
    wait(change)
    destroying(place)
    planning.again(change, by=bank.people["mara"])
    work_all()
    change = fresh(change)
    assert (change.state, change.revision.chain.state) == ("rejected", "void")
    assert [run.state for run in change.runs.filter(plan=None)] == ["cancelled"]


def test_a_plan_that_nobody_could_agree_to_leaves_a_draft_and_no_sign_off(bank, place, monkeypatch):
    change = approved(bank, place)
    wait(change)
    planning.again(change, by=bank.people["mara"])
    now(place, "other\n")

    def nobody(*_, **__):
        raise asking.NobodyCanDecide("Nothing was sent. Nobody can.")

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(asking, "ask_planned", nobody)
        work_all()
    change = fresh(change)
    assert (change.state, change.revision.chain.state) == ("draft", "void")
    assert (newest(change).outcome, newest(change).why) == ("refused", "Nothing was sent. Nobody can.")
    planning.again(change, by=bank.people["mara"])
    work_all()
    assert (fresh(change).state, fresh(change).revision.number) == ("waiting", 2)


def test_what_is_signed_is_not_waiting_while_it_is_planned_anew(bank, place):
    change = planned(bank, place)
    edited(bank, change, "43", place)
    with pytest.raises(NotWaiting):
        bank.say(change, "jonas")


def test_no_plan_is_settled_twice(bank, place):
    change = asked(bank, place)
    ended(holding(Step.objects.get()), artifacts={"next": b"x"})
    once: list[bool] = []

    def meanwhile():
        if not once:
            once.append(True)
            planning.sweep()

    original = asking.ask_planned

    def slow(plan, found):
        meanwhile()
        return original(plan, found)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asking, "ask_planned", slow)
        planning.sweep()
    assert (fresh(change).revision.number, len(told("change.requested"))) == (1, 1)
    assert Plan.objects.get().outcome == "revised"


def test_where_policy_demands_a_passkey_nothing_is_planned(bank, place):
    trusted(bank.user("noor"), Authenticator())
    demand_passkeys(bank)
    with pytest.raises(PlanNotSigned, match="before anybody has signed"):
        asked(bank, place)
    assert not Plan.objects.exists()
    assert not Step.objects.exists()
