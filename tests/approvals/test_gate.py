"""The gate: the only way to a permit."""

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from accounts import teams
from accounts.acting import Acting
from accounts.models import Team
from accounts.teams import deactivate
from approvals import chain as chains
from approvals import current, demand, directory, freezes, gate, periods, permit, signoffs
from approvals.chain import Verdict
from approvals.models import Chain, Permit
from approvals.periods import Place
from approvals.policy import bundles
from audit.canonical import digest, parse, uuid7
from audit.models import Entry, Pending
from tests.approvals.cast import (
    DIGEST,
    OTHER,
    STARTER,
    TEST,
    authorise,
    become,
    complete,
    forge,
    judge,
    leave,
    sign,
    sql,
    stage,
    start,
    told,
)


def test_a_complete_chain_opens_the_gate_and_the_permit_says_why(bank):
    chain = complete(bank)
    issued = authorise(chain)
    document = permit.read(issued)
    assert document is not None
    assert document["digest"] == DIGEST
    assert document["sign_offs"] == sorted(str(one.pk) for one in chain.sign_offs.all())
    entry = Entry.objects.get(kind="permit.issued")
    assert parse(bytes(entry.body))["data"]["document_digest"] == OTHER


def test_a_later_step_starts_under_the_permit_of_the_first(bank):
    chain, run = complete(bank), uuid7()
    issued = authorise(chain, run_id=run)
    again = authorise(chain, run_id=run, permit_id=issued.pk, first=False, change_state="running")
    assert again == issued


AT_NIGHT = """
# METADATA
# title: At night only
# custom:
#   rule: at-night
windows contains {
	"rule": "at-night", "message": "Only at night.", "not_before": "%s", "not_after": "%s",
} if { input.api == "v1" }
"""


@pytest.mark.parametrize(
    ("begins", "ends", "refusal"),
    [(-1, 1, None), (1, 2, gate.TooEarly), (-2, -1, gate.TooLate)],
)
def test_a_run_begins_within_a_window_that_policy_names(bank, begins, ends, refusal):
    hours = [(timezone.now() + timedelta(hours=one)).strftime("%Y-%m-%dT%H:%M:%SZ") for one in (begins, ends)]
    sources = {path.name: path.read_text() for path in STARTER.glob("*.rego")}
    sources["notes.rego"] = sources["notes.rego"].replace("windows := []", AT_NIGHT % tuple(hours))
    bundles.activate(bundles.examine(sources), source="test", by=TEST)
    chain = complete(bank)
    if refusal is None:
        assert permit.read(authorise(chain))
        return
    with pytest.raises(refusal, match="By policy"):
        authorise(chain)
    sql("UPDATE approvals_decision SET output = jsonb_set(output, '{windows}', '[]')")
    with pytest.raises(demand.DecisionAltered):
        authorise(chain)


@pytest.mark.parametrize(
    ("changed", "refusal"),
    [
        ({"change_state": "waiting"}, gate.NotRunnable),
        ({"change_state": "running"}, gate.NotRunnable),
        ({"change_state": "rejected"}, gate.NotRunnable),
        ({"cancel_requested": True}, gate.StopAsked),
        ({"digest": OTHER}, gate.OtherContent),
        ({"not_before": timezone.now() + timedelta(hours=1)}, gate.TooEarly),
        ({"not_after": timezone.now() - timedelta(hours=1)}, gate.TooLate),
        ({"permit_id": uuid7()}, gate.PermitWrong),
        ({"chain_id": uuid7()}, gate.ChainNotComplete),
        ({"first": False, "change_state": "running"}, gate.PermitWrong),
        ({"first": False, "change_state": "running", "permit_id": uuid7()}, gate.PermitWrong),
        ({"first": False, "change_state": "approved"}, gate.NotRunnable),
    ],
)
def test_the_gate_stays_shut(bank, changed, refusal):
    chain = complete(bank)
    with pytest.raises(refusal):
        authorise(chain, **changed)
    assert not Permit.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_the_gate_needs_the_transaction_of_the_claim():
    with pytest.raises(RuntimeError, match="transaction of the claim"):
        gate.authorise(start(Chain(subject=DIGEST)))


def test_an_open_chain_never_opens_the_gate(bank):
    chain = bank.chain()
    sign(chain, bank.ines, "Service owner")
    with pytest.raises(gate.ChainNotComplete):
        authorise(chain)


def test_a_membership_that_ended_after_the_sign_off_shuts_the_gate(bank):
    chain = complete(bank)
    leave(bank.sam, "security")
    with pytest.raises(gate.QuorumLost, match="Security"):
        authorise(chain)


def test_an_account_that_was_deactivated_after_the_sign_off_shuts_the_gate(bank):
    chain = complete(bank)
    deactivate(bank.ines, by=TEST)
    with pytest.raises(gate.QuorumLost, match="Service owner"):
        authorise(chain)


def test_an_account_that_became_another_persons_does_not_count(bank):
    chain = complete(bank)
    become(bank.ines, bank.omar.person)
    with pytest.raises(gate.QuorumLost):
        authorise(chain)


def test_a_sign_off_forged_by_sql_never_opens_the_gate(bank):
    chain = bank.chain()
    sign(chain, bank.ines, "Service owner")
    forge(chain, bank.sam, stage(chain, "Security").pk)
    sql("UPDATE approvals_chain SET state = 'complete' WHERE id = %s", chain.pk)
    with pytest.raises(gate.SignOffForged):
        authorise(chain)


def test_a_sign_off_moved_to_another_stage_by_sql_never_opens_the_gate(bank):
    chain = complete(bank)
    row = chain.sign_offs.get(user=bank.sam)
    sql("UPDATE approvals_signoff SET condition = 'none' WHERE id = %s", row.pk)
    with pytest.raises(gate.SignOffForged):
        authorise(chain)


def test_a_withdrawal_turned_back_by_sql_never_opens_the_gate(bank):
    chain = complete(bank)
    row = chain.sign_offs.get(user=bank.sam)
    with transaction.atomic():
        signoffs.withdraw(row.pk, by=Acting(bank.sam, "session"))
    sql("UPDATE approvals_signoff SET withdrawn_at = NULL WHERE id = %s", row.pk)
    sql("UPDATE approvals_chain SET state = 'complete' WHERE id = %s", chain.pk)
    with pytest.raises(gate.SignOffForged):
        authorise(chain)


def test_what_would_run_is_held_against_the_chain_before_anything_else(bank):
    with pytest.raises(gate.OtherContent, match="What would run is not what was signed off"):
        authorise(complete(bank), digest=OTHER)


@pytest.mark.parametrize("column", ["subject", "chain_digest"])
def test_a_sign_off_that_names_other_content_shuts_the_gate(bank, column):
    chain = complete(bank)
    sql(f"UPDATE approvals_signoff SET {column} = %s", OTHER)  # noqa: S608 - one of the two names above
    with pytest.raises(gate.OtherContent, match="names other content"):
        authorise(chain)


def test_a_quorum_lowered_by_sql_shuts_the_gate(bank):
    chain = complete(bank)
    sql("UPDATE approvals_stage SET team_ids = '{}' WHERE chain_id = %s AND name = 'Security'", chain.pk)
    with pytest.raises(gate.ChainAltered):
        authorise(chain)


def test_a_chain_without_stages_never_opens_the_gate(bank):
    chain = complete(bank)
    sql("DELETE FROM approvals_signoff WHERE chain_id = %s", chain.pk)
    sql("DELETE FROM approvals_stage WHERE chain_id = %s", chain.pk)
    with pytest.raises(gate.ChainAltered):
        authorise(chain)


def test_a_weaker_chain_with_its_own_true_digest_is_not_believed_without_the_key(bank):
    """Lowered by SQL before anybody signed, digest and all: then every sign-off is genuine."""
    chain = bank.chain()
    sql("DELETE FROM approvals_stage WHERE chain_id = %s AND name = 'Security'", chain.pk)
    weaker = digest(chains.DOMAIN, chains._document(chain, chain.stages.all()))
    sql("UPDATE approvals_chain SET digest = %s WHERE id = %s", weaker, chain.pk)
    chain.refresh_from_db()
    assert sign(chain, bank.ines, "Service owner") == Verdict.COMPLETE
    with pytest.raises(gate.ChainAltered):
        authorise(chain)


def test_an_approval_that_expired_shuts_the_gate(bank, monkeypatch):
    chain = complete(bank)
    monkeypatch.setattr(freezes, "active", lambda _: freezes.Judged(chain.expires_at, []))
    with pytest.raises(gate.ApprovalExpired):
        authorise(chain)


def test_an_expiry_put_off_by_sql_shuts_the_gate(bank):
    chain = complete(bank)
    sql("UPDATE approvals_chain SET expires_at = expires_at + interval '1 year'")
    with pytest.raises(gate.ChainAltered):
        authorise(chain)


def test_a_bundle_edited_in_the_database_shuts_the_gate(bank):
    chain = complete(bank)
    sql("UPDATE approvals_bundle SET sources = '{}'::jsonb")
    with pytest.raises(demand.BundleAltered):
        authorise(chain)


def freeze(bank, *environments, starts=-1, ends=1):
    now = timezone.now()
    return freezes.create(
        name="Year end", reason="Books close", environments=list(environments),
        starts_at=now + timedelta(hours=starts), ends_at=now + timedelta(hours=ends),
        known=["production", "staging"], by=Acting(bank.admin, "session"),
    )  # fmt: skip


@pytest.mark.parametrize("where", ["production", "*"])
def test_a_freeze_stops_each_start_until_it_is_lifted(bank, where):
    chain, run = complete(bank), uuid7()
    held = freeze(bank, where)
    with pytest.raises(gate.Frozen, match="Year end") as refused:
        authorise(chain, run_id=run)
    assert refused.value.waits
    periods.lift(held, reason="Books closed early", by=TEST)
    issued = authorise(chain, run_id=run)
    freeze(bank, where)
    with pytest.raises(gate.Frozen):
        authorise(chain, run_id=run, permit_id=issued.pk, first=False, change_state="running")


@pytest.mark.parametrize(
    ("where", "starts", "ends"), [("staging", -1, 1), ("production", 1, 2), ("production", -2, -1)]
)
def test_a_freeze_elsewhere_or_at_another_time_stops_nothing(bank, where, starts, ends):
    chain = complete(bank)
    freeze(bank, where, starts=starts, ends=ends)
    assert authorise(chain)


def test_break_glass_passes_a_freeze(bank):
    chain = complete(bank, is_emergency=True)
    freeze(bank, "*")
    assert authorise(chain, emergency=True)


def test_a_normal_chain_is_no_emergencys(bank):
    """It was to last for days: bytes that say emergency with such a chain were not asked for as one."""
    chain = complete(bank)
    with pytest.raises(gate.EmergencyTooWide):
        authorise(chain, emergency=True)


def test_one_person_never_carries_an_emergency(bank):
    """Policy was content with one for an hour; the gate counts people by itself."""
    sources = {path.name: path.read_text() for path in STARTER.glob("*.rego")}
    sources["owner.rego"] = sources["owner.rego"].replace("259200", "3600")
    bundles.activate(bundles.examine(sources), source="test", by=TEST)
    chain = bank.chain(environment="staging")
    assert sign(chain, bank.ines, "Service owner") == Verdict.COMPLETE
    with pytest.raises(gate.EmergencyTooWide, match="that 1 agreed to"):
        authorise(chain, place=Place("staging"), emergency=True)


def test_a_ledger_that_is_behind_shuts_the_gate(bank):
    chain = complete(bank)
    sql("UPDATE audit_entry SET occurred_at = occurred_at - interval '61 seconds'")
    with pytest.raises(gate.LedgerBehind) as refused:
        authorise(chain)
    assert refused.value.waits


QUEUED = """
WITH entry AS (
    INSERT INTO audit_entry (id, stream, stream_version, kind, subject, actor, occurred_at, body, leaf_hash)
    SELECT gen_random_uuid(), gen_random_uuid(), 1, 'test.queued', 'T', 'system:test', clock_timestamp(), '', ''
    FROM generate_series(1, %s) RETURNING id
) INSERT INTO audit_pending (entry_id) SELECT id FROM entry
"""


def test_more_than_twenty_thousand_entries_without_a_place_shut_the_gate(bank):
    chain = complete(bank)
    sql(QUEUED, current.MAX_PENDING - Pending.objects.count())
    authorise(chain)
    with pytest.raises(gate.LedgerBehind, match="20001 entries wait"):  # with the permit's own
        authorise(chain)


def test_a_permit_moved_to_another_run_by_sql_starts_nothing(bank):
    chain, other = complete(bank), uuid7()
    issued = authorise(chain)
    sql("UPDATE approvals_permit SET run_id = %s", other)
    with pytest.raises(gate.PermitWrong, match="true signature"):
        authorise(chain, run_id=other, permit_id=issued.pk, first=False, change_state="running")


def test_a_permit_edited_in_the_database_starts_nothing(bank):
    chain, run = complete(bank), uuid7()
    issued = authorise(chain, run_id=run)
    later = {"run_id": run, "permit_id": issued.pk, "first": False, "change_state": "running"}
    edited = bytes(issued.document).replace(b'"production"', b'"staging"')
    sql("UPDATE approvals_permit SET document = %s", edited)
    with pytest.raises(gate.PermitWrong):
        authorise(chain, place=Place("staging"), **later)


@pytest.mark.parametrize(
    "changed",
    [{"digest": OTHER}, {"document_digest": DIGEST}, {"place": Place("staging")}, {"chain_id": uuid7()}],
)
def test_a_permit_is_for_one_content_and_one_place(bank, changed):
    chain, run = complete(bank), uuid7()
    issued = authorise(chain, run_id=run)
    with pytest.raises(gate.OtherContent):
        authorise(
            chain,
            **{"run_id": run, "permit_id": issued.pk, "first": False, "change_state": "running", **changed},
        )


def test_a_permit_of_one_run_is_none_for_another(bank):
    chain = complete(bank)
    issued = authorise(chain)
    with pytest.raises(gate.PermitWrong):
        authorise(chain, run_id=uuid7(), permit_id=issued.pk, first=False, change_state="running")


def test_a_permit_ends(bank, monkeypatch):
    chain, run = complete(bank), uuid7()
    monkeypatch.setattr(permit, "LIFETIME", timedelta(0))
    issued = authorise(chain, run_id=run)
    with pytest.raises(gate.PermitExpired):
        authorise(chain, run_id=run, permit_id=issued.pk, first=False, change_state="running")


def test_the_gate_costs_few_queries(bank, django_assert_max_num_queries):
    chain, run = complete(bank), uuid7()
    with django_assert_max_num_queries(8):  # before the transaction: policy is asked again
        known = {"told": told(chain), "judged": judge(chain)}
    # Fifteen to look, among them: for the newest checkpoint, for kill switches and their lock, for who recused
    # themselves or stands in, for teams that a directory keeps, for what is still owed, for what the ledger says was
    # taken back; then the permit and its entry, a savepoint around both.
    with django_assert_max_num_queries(15 + 5):
        issued = authorise(chain, run_id=run, **known)
    with django_assert_max_num_queries(6 + 2):
        authorise(chain, run_id=run, permit_id=issued.pk, first=False, change_state="running")


def test_the_state_of_the_chain_is_not_believed(bank):
    chain = bank.chain()
    sql("UPDATE approvals_chain SET state = 'complete' WHERE id = %s", chain.pk)
    with pytest.raises(gate.QuorumLost):
        authorise(Chain.objects.get(pk=chain.pk), by=TEST)


def test_b10_a_team_whose_directory_fell_silent_is_unknown_and_opens_nothing(bank):
    chain, security = complete(bank), Team.objects.get(slug="security")
    teams.synced(security, by=TEST)
    sql("UPDATE accounts_team SET synced_at = now() - interval '25 hours' WHERE id = %s", security.pk)
    with pytest.raises(directory.MembershipUnknown, match="Security was last told"):
        authorise(chain)
    sql("UPDATE accounts_team SET synced_at = now() - interval '23 hours' WHERE id = %s", security.pk)
    assert authorise(chain).chain == chain
