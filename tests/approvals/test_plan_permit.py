"""A permit for what only reads, and nothing else: what lets plan steps start before anybody agreed."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from accounts import teams
from accounts.acting import Acting
from approvals import current, demand, freezes, gate, keys, planned
from approvals import permit as permits
from approvals.models import Permit
from approvals.periods import Place
from audit.canonical import uuid7
from tests.approvals.cast import DIGEST, OTHER, TEST, authorise, complete, sql, start

LOOK = {"key": "look", "phase": "plan", "effect": "read_only"}
WRITE = {"key": "write", "effect": "at_most_once"}
CONTENT = {"steps": [LOOK, WRITE]}
PLACE = Place("production", "payments", "deploy-service")


def answered(signature: str, **told: Any) -> demand.Judged:
    """The worker's own answer about a place where one stage is signed like this."""
    return demand.Judged(uuid7(), told, {}, {"require": [{"signature": signature}]})


def plan(**changed: Any) -> Permit:
    """The gate's answer to a plan step; asked for by a door unless said otherwise."""
    known: dict[str, Any] = {
        "run_id": uuid7(), "change_key": "CHG-1", "digest": DIGEST, "document_digest": OTHER, "chain_id": None,
        "place": PLACE, "change_state": "draft", "cancel_requested": False, "not_before": None, "not_after": None,
        "permit_id": None, "first": True, "by": TEST, "purpose": "plan", "content": CONTENT, "step": LOOK,
        "signature": planned.sign(change="CHG-1", digest=DIGEST), "judged": answered("session"),
    }  # fmt: skip
    with transaction.atomic():
        return gate.authorise(gate.Start(**{**known, **changed}))


def test_plan_steps_start_without_a_chain_under_a_permit_that_says_so(db):
    issued = plan()
    document = permits.read(issued)
    assert document is not None
    assert (issued.purpose, issued.chain, document["purpose"], document["sign_offs"]) == (
        "plan",
        None,
        "plan",
        [],
    )


@pytest.mark.parametrize("state", ["draft", "waiting", "approved", "scheduled"])
def test_before_the_start_it_may_be_planned(db, state):
    run = uuid7()
    issued = plan(change_state=state, run_id=run)
    assert plan(change_state=state, run_id=run, permit_id=issued.pk, first=False) == issued


@pytest.mark.parametrize(
    ("changed", "refusal"),
    [
        ({"signature": ""}, gate.PlanUnsigned),
        ({"signature": "ed25519:0:0"}, gate.PlanUnsigned),
        ({"digest": OTHER}, gate.PlanUnsigned),
        ({"change_key": "CHG-2"}, gate.PlanUnsigned),
        ({"step": WRITE}, gate.NotOnlyReading),
        ({"step": {}}, gate.NotOnlyReading),
        ({"step": {**LOOK, "with": {"argv": ["rm"]}}}, gate.NotOnlyReading),
        ({"change_state": "running"}, gate.NotRunnable),
        ({"change_state": "sent_back"}, gate.NotRunnable),
        ({"change_state": "withdrawn"}, gate.NotRunnable),
        ({"change_state": "succeeded"}, gate.NotRunnable),
        ({"cancel_requested": True}, gate.StopAsked),
        ({"permit_id": uuid7()}, gate.PermitWrong),
        ({"first": False}, gate.PermitWrong),
        ({"first": False, "permit_id": uuid7()}, gate.PermitWrong),
    ],
)
def test_a_plan_stays_where_it_is(db, changed, refusal):
    with pytest.raises(refusal):
        plan(**changed)
    assert not Permit.objects.exists()


@pytest.mark.parametrize(
    "step",
    [
        {"key": "look", "phase": "plan", "effect": "idempotent"},
        {"key": "look", "phase": "plan", "effect": "at_most_once"},
        {"key": "look", "phase": "apply", "effect": "read_only"},
        {"key": "look", "effect": "read_only"},
    ],
)
def test_what_the_bytes_do_not_call_a_reading_plan_step_is_none(db, step):
    with pytest.raises(gate.NotOnlyReading):
        plan(step=step, content={"steps": [step]})


def test_a_signature_for_another_purpose_asks_for_no_plan(db):
    other = keys.sign("chain", {"change": "CHG-1", "digest": DIGEST})
    with pytest.raises(gate.PlanUnsigned):
        plan(signature=other)


def test_a_freeze_does_not_hold_what_only_reads(db):
    admin = Acting(teams.create_person(username="adam", name="Adam", by=TEST, superuser=True), "session")
    at = timezone.now()
    freezes.create(
        name="Year end", reason="Books close.", environments=["production"], starts_at=at - timedelta(hours=1),
        ends_at=at + timedelta(hours=1), known=["production"], by=admin,
    )  # fmt: skip
    assert plan().purpose == "plan"


def test_a_ledger_that_is_behind_holds_a_plan_too(db, monkeypatch):
    monkeypatch.setattr(current, "MAX_PENDING", -1)
    with pytest.raises(gate.LedgerBehind):
        plan()


# --- neither permit is good for the other -------------------------------------------------------------------


def test_a_plan_s_permit_starts_nothing_that_was_to_be_agreed_to(bank):
    chain, run = complete(bank), uuid7()
    mine = plan(
        digest=chain.subject, signature=planned.sign(change="CHG-1", digest=chain.subject), run_id=run
    )
    with pytest.raises(gate.OtherContent):
        authorise(chain, run_id=run, permit_id=mine.pk, first=False, change_state="running", step=WRITE)


def test_a_run_s_permit_starts_no_plan_step(bank):
    chain, run = complete(bank), uuid7()
    theirs = authorise(chain, run_id=run)
    signature = planned.sign(change="CHG-1", digest=chain.subject)
    with pytest.raises(gate.OtherContent):
        plan(digest=chain.subject, signature=signature, run_id=run, permit_id=theirs.pk, first=False)


def test_a_plan_step_does_not_start_as_if_it_had_been_agreed_to(bank):
    chain = complete(bank)
    with pytest.raises(gate.NotOnlyReading):
        authorise(chain, step=LOOK)


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE approvals_permit SET purpose = 'apply', chain_id = '%s'",
        "UPDATE approvals_permit SET subject = 'sha256:other'",
    ],
)
def test_a_plan_s_permit_whose_row_says_something_else_is_none(bank, edit):
    chain = complete(bank)
    issued = plan()
    sql(edit % chain.pk if "%s" in edit else edit)
    issued.refresh_from_db()
    assert permits.read(issued) is None


@pytest.mark.parametrize(
    "edit", ["SET chain_id = NULL", "SET purpose = 'plan'", "SET purpose = 'other', chain_id = NULL"]
)
def test_the_table_knows_no_permit_without_a_chain_but_a_plan_s(bank, edit):
    authorise(complete(bank))
    with pytest.raises(Exception, match="permit_of_a_chain_or_for_a_plan"):
        sql(f"UPDATE approvals_permit {edit}")


def test_a_chain_is_never_about_a_plan(bank):
    """The claim gives each kind of bytes a digest of its own domain; here the gate itself finds no chain."""
    chain = complete(bank)
    with pytest.raises(gate.ChainNotComplete), transaction.atomic():
        gate.authorise(start(chain, chain_id=None))


def test_where_policy_demands_a_passkey_no_plan_starts_before_somebody_has_signed(db):
    """Else whoever has the web server's keys and SQL could let a worker run what they call a plan."""
    with pytest.raises(demand.PlanUnderPasskey, match="before anybody has signed"):
        plan(judged=answered("passkey"))
    for nobody in (None, answered("session", about="something else")):
        with pytest.raises(demand.DecisionAltered):
            plan(judged=nobody)
    assert not Permit.objects.exists()
