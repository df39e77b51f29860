"""The life of a stage on a change: whom the inbox asks, due times, and what is told when they pass."""

from datetime import timedelta
from functools import partial

import pytest
from django.db import transaction

from accounts import permissions
from approvals import claims, due
from approvals.models import Obligation
from approvals.policy import bundles
from audit.canonical import parse
from audit.models import Entry
from audit.refusals import Invalid, NotAllowed, NotFound, Refusal
from orchestration import access, asking, changes, notices, reviewing
from orchestration.engine.reconcile import RECONCILER, expire, reconcile
from orchestration.models import Change
from tests.approvals.cast import sql
from tests.factories import REACHED, TEST, Bank, change_in
from tests.orchestration.test_claim import together

POLICY = """package countersign.change

# METADATA
# title: The owner signs
# custom:
#   rule: owner
require contains {
	"stage": "Service owner", "order": 1, "quorum": 1, "teams": ["payments"], "exclude_authors": true,
	"signature": "session", "expires_in": 7200, %(owner)s
	"why": {"rule": "owner", "message": "Because.", "read": [{"path": "input.api", "value": input.api}]},
} if { input.api == "v1" }

# METADATA
# title: Security signs
# custom:
#   rule: security
require contains {
	"stage": "Security", "order": %(order)s, "quorum": 1, "teams": ["security"], "exclude_authors": true,
	"signature": "session", "expires_in": 7200, %(security)s
	"why": {"rule": "security", "message": "Because.", "read": [{"path": "input.api", "value": input.api}]},
} if { %(applies)s }

# METADATA
# title: Watch the dashboards
# custom:
#   rule: watch
obligations contains {"rule": "watch", "message": "Watch the dashboards for an hour."} if { %(when)s }

deny := []
warn := []
windows := []
"""
TESTS = "package t_test\ntest_it if { true }\n"


def judge(*, owner="", security="", order=1, when="false", applies='input.api == "v1"'):
    """From now on this policy decides."""
    text = POLICY % {
        "owner": owner, "security": security, "order": order, "when": when, "applies": applies,
    }  # fmt: skip
    candidate = bundles.examine({"a.rego": text, "a_test.rego": TESTS})
    bundles.activate(candidate, source="test", by=TEST)


def late():
    """As if each stage had been opened long ago."""
    sql("UPDATE approvals_stage SET due_at = now() - interval '1 second' WHERE due_at IS NOT NULL")


@pytest.fixture
def bank(db):
    return Bank()


@pytest.fixture
def committing(transactional_db):
    """For what a worker does: it claims in connections of its own."""
    return Bank()


def again(change):
    """As it is now."""
    return Change.objects.get(pk=change.pk)


def inbox(bank, who):
    return list(access.waiting_for(bank.user(who)))


def test_the_inbox_asks_those_to_whom_policy_escalates_once_the_stage_is_past_due(bank):
    judge(owner='"due_in": 600, "escalate_to": ["security"],', order=2)
    change = bank.change()
    assert (inbox(bank, "jonas"), inbox(bank, "noor")) == ([change], [])
    late()
    assert (inbox(bank, "jonas"), inbox(bank, "noor")) == ([change], [change])


@pytest.mark.parametrize(("says", "asked"), [('"distinct": "stage",', True), ("", False)])
def test_the_inbox_asks_a_second_time_only_where_both_stages_let_one_person_sign_twice(bank, says, asked):
    judge(owner='"distinct": "stage",', security=f'{says}"users": ["{bank.user("jonas").pk}"],')
    change = bank.change()
    assert inbox(bank, "jonas") == [change]
    bank.say(change, "jonas")
    assert bool(inbox(bank, "jonas")) is asked


# --- obligations ------------------------------------------------------------------------------------------


def test_an_obligation_waits_in_the_inbox_of_whoever_owes_it_and_of_whoever_set_it(bank):
    change = bank.change()
    bank.say(change, "jonas", "approve_with_condition", condition="Watch the dashboard.")
    told = {who: [(one.kind, one.text) for one in notices.of(bank.user(who))] for who in bank.people}
    assert {who for who, said in told.items() if said} == {"mara", "jonas"}
    assert told["mara"] == [("obligation", "Watch the dashboard.")]
    bank.say(change, "noor")
    closed = reviewing.close_obligation(
        again(change), Obligation.objects.get().pk, note="It was quiet.", by=bank.people["noor"]
    )
    assert closed.state == "closed"
    assert notices.of(bank.user("mara")) == []


def test_what_policy_wants_done_waits_for_the_requester_until_the_change_is_edited(bank):
    judge(when='input.change.inputs.version == "42"')
    change = bank.change()
    assert [one.text for one in notices.of(bank.user("mara"))] == ["Watch the dashboards for an hour."]
    asked = asking.ask_again(change, inputs={"version": "43"}, reason="Another.", by=bank.people["mara"])
    changes.revise(change, asked)
    assert notices.of(bank.user("mara")) == []


def test_only_who_may_sign_off_here_closes_an_obligation(bank):
    """Eligible by the chain is not enough: the grant on the service can be taken away."""
    change = bank.change()
    bank.say(change, "jonas", "approve_with_condition", condition="Watch the dashboard.")
    permissions.revoke(bank.teams["security"], "sign_off", bank.service, by=TEST)
    with pytest.raises(NotAllowed):
        reviewing.close_obligation(
            again(change), Obligation.objects.get().pk, note="Quiet.", by=bank.people["noor"]
        )


# --- time -------------------------------------------------------------------------------------------------


def tells():
    """What was told about due times, in order."""
    found = Entry.objects.filter(kind__in=["stage.overdue", "stage.reminded"]).order_by("id")
    return [(entry.kind, parse(bytes(entry.body))["data"]["stage_name"]) for entry in found]


def hours_pass(hours):
    sql("UPDATE approvals_stage SET reminded_at = reminded_at - %s", timedelta(hours=hours))


def test_a_stage_past_due_is_told_once_and_again_after_four_hours(bank):
    judge(owner='"due_in": 600, "escalate_to": ["security"],')
    change = bank.change()
    assert (reconcile()["overdue_stages"], tells()) == (0, [])
    late()
    assert reconcile()["overdue_stages"] == 1
    hours_pass(3.9)
    assert reconcile()["overdue_stages"] == 0
    hours_pass(0.2)
    assert reconcile()["overdue_stages"] == 1
    assert tells() == [("stage.overdue", "Service owner"), ("stage.reminded", "Service owner")]
    [asked] = inbox(bank, "jonas")
    assert asked.due_at < asked.reminded_at
    assert again(change).state == "waiting"


def test_nobody_is_told_of_a_stage_that_is_complete_or_whose_turn_has_not_come(bank):
    judge(owner='"due_in": 600,', security='"due_in": 600,', order=2)
    change = bank.change()
    late()
    assert reconcile()["overdue_stages"] == 1
    assert tells() == [("stage.overdue", "Service owner")]
    bank.say(change, "jonas")
    hours_pass(5)
    assert reconcile()["overdue_stages"] == 1
    assert tells()[1:] == [("stage.overdue", "Security")]
    bank.say(change, "noor")
    hours_pass(5)
    assert reconcile()["overdue_stages"] == 0


@pytest.mark.django_db(transaction=True)
def test_f27_two_clocks_at_once_tell_once_and_expire_once(sound):
    bank = Bank()
    judge(owner='"due_in": 600,')
    change = bank.change()
    late()
    stage = due.overdue().get()
    assert sorted(together(*[partial(reminded, stage)] * 2)) == [False, True]
    assert tells() == [("stage.overdue", "Service owner")]
    sql("UPDATE approvals_chain SET expires_at = now() - interval '1 second'")
    seen = again(change)
    together(*[partial(expired, seen)] * 2)
    assert again(change).state == "expired"
    assert Entry.objects.filter(kind="change.expired").count() == 1
    assert Entry.objects.filter(kind="chain.void").count() == 1


def reminded(stage):
    with transaction.atomic():
        return due.remind(stage, by=RECONCILER)


def expired(seen):
    with transaction.atomic():
        expire(seen)


def test_c09_a_policy_that_asks_for_less_changes_no_chain_that_is_open(bank):
    judge()
    change = bank.change()
    judge(applies="false")
    later = bank.change()
    assert [one.name for one in asking.current_revision(later).chain.stages.all()] == ["Service owner"]
    bank.say(change, "jonas")
    assert again(change).state == "waiting"
    bank.say(change, "noor")
    assert again(change).state == "approved"


@pytest.mark.parametrize("state", [Change.State.WAITING, Change.State.APPROVED])
def test_a_change_that_nobody_started_in_time_expires_with_its_chain_and_the_requester_is_told(bank, state):
    change = change_in(state, bank)
    bank.change()  # another one, with time left
    sql(
        "UPDATE approvals_chain SET expires_at = now() - interval '1 second' WHERE id = %s",
        asking.current_revision(change).chain_id,
    )
    assert reconcile()["expired"] == 1
    assert reconcile()["expired"] == 0
    change = again(change)
    assert (change.state, change.revision.chain.state) == ("expired", "void")
    assert all(run.state == "cancelled" for run in change.runs.all())
    assert [(one.kind, one.change) for one in notices.of(bank.user("mara"))] == [("expired", change)]
    with pytest.raises(Refusal):
        bank.say(change, "noor")


def test_the_inbox_shows_what_is_due_first(bank):
    judge(owner='"due_in": 7000,')
    first = bank.change()
    judge(owner='"due_in": 600,')
    second = bank.change()
    assert inbox(bank, "jonas") == [second, first]


# --- claims, hand-overs, questions ------------------------------------------------------------------------


def seat(change, name="Security"):
    return asking.current_revision(change).chain.stages.get(name=name).pk


def told(bank, who):
    return [(one.kind, one.who, one.text) for one in notices.of(bank.user(who))]


def test_a_decision_ends_the_claim_of_whoever_made_it(bank):
    change = bank.change()
    reviewing.claim(change, stage=seat(change), by=bank.people["noor"])
    reviewing.claim(change, stage=seat(change, "Service owner"), by=bank.people["jonas"])
    bank.say(change, "noor")
    assert [one.user.name for one in claims.current(asking.current_revision(change).chain)] == ["Jonas"]


def test_what_is_handed_over_waits_in_the_colleagues_inbox_until_they_decide(bank):
    change = bank.change()
    given = {"stage": seat(change), "to": bank.user("ines").pk, "note": "You know this one."}
    reviewing.hand_over(change, **given, by=bank.people["noor"])
    assert told(bank, "ines") == [("hand_over", "Noor", "You know this one.")]
    assert told(bank, "noor") == []
    bank.say(change, "ines")
    assert told(bank, "ines") == []


@pytest.mark.parametrize("to", ["mara", "jonas", "ravi"])
def test_nothing_is_handed_over_to_somebody_who_cannot_decide(bank, to):
    change = bank.change()
    with pytest.raises(Invalid):
        reviewing.hand_over(change, stage=seat(change), to=bank.user(to).pk, note="", by=bank.people["noor"])


def test_a_question_waits_for_the_requester_and_its_answer_for_whoever_asked(bank):
    change = bank.change()
    bank.say(change, "jonas")
    asked = reviewing.ask(change, text="Is there a way back?", by=bank.people["noor"])
    assert told(bank, "mara") == [("question", "Noor", "Is there a way back?")]
    with pytest.raises(NotAllowed):
        reviewing.answer(change, asked.pk, text="Yes.", by=bank.people["jonas"])
    reviewing.answer(change, asked.pk, text="Yes, one click.", by=bank.people["mara"])
    assert told(bank, "mara") == []
    assert told(bank, "noor") == [("answer", "Mara", "Yes, one click.")]
    assert again(change).state == "waiting"
    assert asking.current_revision(change).chain.sign_offs.filter(withdrawn_at=None).count() == 1
    bank.say(change, "noor")
    assert told(bank, "noor") == []


def test_who_may_not_sign_off_here_asks_nothing_and_the_requester_does_not_ask_themself(bank):
    change = bank.change()
    for who in ("mara", "sam", "ravi"):
        with pytest.raises((NotAllowed, NotFound)):
            reviewing.ask(change, text="Why?", by=bank.people[who])
    assert not change.comments.exists()


def test_an_answer_to_a_question_of_another_change_is_not_found(bank):
    first, second = bank.change(), bank.change()
    asked = reviewing.ask(first, text="Why?", by=bank.people["noor"])
    remark = changes.comment(second, text="A remark.", by=bank.people["noor"])
    for question in (asked.pk, remark.pk):
        with pytest.raises(NotFound):
            reviewing.answer(second, question, text="Because.", by=bank.people["mara"])


@pytest.mark.parametrize("state", [one for one in REACHED if one != Change.State.WAITING])
def test_nobody_claims_or_hands_over_what_asks_nobody(committing, state):
    bank = committing
    change = change_in(state, bank)
    with pytest.raises(Refusal):
        reviewing.claim(change, stage=seat(change), by=bank.people["ines"])
    with pytest.raises(Refusal):
        reviewing.hand_over(
            change, stage=seat(change), to=bank.user("noor").pk, note="", by=bank.people["ines"]
        )
