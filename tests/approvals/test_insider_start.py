"""Somebody with full SQL and everything that the web server holds cannot make a run start whose stage demands passkeys.

The attacker writes any table with the guards asleep, signs with the web server's keys and deletes at will. What they
lack: a reviewer's device, and the workers' folder. Each attack is followed to the worker's claim; and to show that
the worker would start something, the same road with a real signature is walked first.
"""

import json

import pytest
from django.db import transaction
from django.utils import timezone

from approvals import chain as chains
from approvals import demand, gate, keys, known, passkeys, signoffs
from approvals.models import Bundle, Passkey, Permit, SignOff
from approvals.policy import bundles, decisions
from audit.canonical import canonical, digest, uuid7
from audit.ledger.record import record
from audit.models import Entry
from orchestration import changes
from orchestration.engine import runs
from orchestration.engine.claim import claim
from orchestration.models import Step
from tests.approvals.authenticator import Authenticator, asked, b64, trusted
from tests.approvals.cast import demand_passkeys, sql
from tests.factories import TEST, Bank
from tests.orchestration.deeds import known as known_worker

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def phone():
    return Authenticator()


@pytest.fixture
def bank(phone):
    """Security signs with passkeys in production; Noor has one, and a first change was run with it."""
    bank = Bank()
    demand_passkeys(bank)
    trusted(bank.user("noor"), phone)
    assert started(signed(bank, phone))
    return bank


@pytest.fixture
def change(bank, settings):
    """Another one, for which the owner has agreed and Noor has not. From here on the attacker is the web server."""
    made = bank.change(inputs={"version": "43"})
    bank.say(made, "jonas")
    settings.SIGNS_AS = "web"
    return made


def chain_of(change):
    change.refresh_from_db()
    assert change.revision is not None
    return change.revision.chain


def signed(bank, device):
    """Agreed by the owner in a session and by Noor with a device."""
    change = bank.change()
    bank.say(change, "jonas")
    bank.say(change, "noor", passkey=assertion(change, device))
    return change


def assertion(change, device, **changed):
    chain = chain_of(change)
    said = {
        "change": str(change.pk), "revision": 1, "digest": chain.subject, "chain_digest": chain.digest,
        "stage": str(chain.stages.get(name="Security").pk), "decision": "approve",
        "condition_digest": passkeys.digest_of_text(""),
    }  # fmt: skip
    return device.get(passkeys.Statement(**{**said, **changed}).challenge)


def started(change) -> bool:
    """Whether a worker takes the first step of this change."""
    return claim(Step.objects.get(run__change=change).pk, boot_id=known_worker()) is not None


def refused(change, settings) -> str:
    """Everything in the database says that it may start; the worker's word against it."""
    chain = chain_of(change)
    sql("UPDATE approvals_chain SET state = 'complete' WHERE id = %s", chain.pk)
    sql("UPDATE orchestration_change SET state = 'approved' WHERE id = %s", change.pk)
    change.refresh_from_db()
    if not change.runs.exists():
        with transaction.atomic():
            runs.create(change, revision=change.revision, by=TEST, at=timezone.now())
    settings.SIGNS_AS = "worker"
    permits = Permit.objects.count()
    assert not started(change)
    step = Step.objects.get(run__change=change)
    assert (step.state, step.attempt, Permit.objects.count()) == ("ready", 0, permits)
    said = Entry.objects.filter(kind="attempt.refused", subject=step.run.key).latest("id")
    return str(json.loads(bytes(said.body))["data"]["code"])


def forged(change, bank, *, stage="Security", who="noor", **columns) -> SignOff:
    """A session's approval in somebody's name, with the web server's own true signature."""
    chain, user = chain_of(change), bank.user(who)
    row = SignOff(
        chain=chain, stage=chain.stages.get(name=stage), person_id=user.person_id, user=user, decision="approve",
        subject=chain.subject, chain_digest=chain.digest, given_at=timezone.now(), **columns,
    )  # fmt: skip
    row.signature = keys.sign("signoff", signoffs._statement(row))
    with transaction.atomic():
        row.save(force_insert=True)
        record("sign_off.given", of=row, subject=chain.subject, actor=TEST)
    return row


def resign(change, bank) -> None:
    """The chain as it now stands gets a digest and a true signature, and the owner's approval with it."""
    chain = chain_of(change)
    document = chains._document(chain, chain.stages.all())
    sql(
        "UPDATE approvals_chain SET digest = %s, signature = %s WHERE id = %s",
        digest(chains.DOMAIN, document),
        keys.sign("chain", document),
        chain.pk,
    )
    sql("DELETE FROM approvals_signoff WHERE chain_id = %s", chain.pk)
    forged(change, bank, stage="Service owner", who="jonas")


def test_the_road_is_open_with_a_real_signature(bank, phone):
    assert started(signed(bank, phone))


def test_a_session_in_the_reviewers_name_is_no_passkey(bank, change, settings):
    forged(change, bank)
    assert refused(change, settings) == gate.PasskeyUnproved.code


def test_a_key_of_ones_own_is_not_trusted_because_its_row_says_so(bank, change, settings):
    mine = Authenticator()
    row = asked(bank.user("noor"), mine)
    real = Passkey.objects.exclude(pk=row.pk).get()
    sql("UPDATE approvals_passkey SET state = 'trusted', trust = %s WHERE id = %s", real.trust, row.pk)
    forged(change, bank, passkey=row, assertion=assertion(change, mine).kept)
    assert refused(change, settings) == gate.PasskeyUnproved.code


def test_a_key_of_ones_own_cannot_take_the_place_of_a_trusted_one(bank, change, settings):
    mine, row = Authenticator(), Passkey.objects.get()
    sql("UPDATE approvals_passkey SET public_key = %s, credential_id = %s", b64(mine.cose), b64(mine.id))
    row.refresh_from_db()
    forged(change, bank, passkey=row, assertion=assertion(change, mine).kept)
    assert refused(change, settings) == gate.PasskeyUnproved.code


def test_an_assertion_for_another_change_is_no_approval_of_this_one(bank, change, settings):
    given = SignOff.objects.exclude(assertion=None).get()
    forged(change, bank, passkey=given.passkey, assertion=given.assertion)
    assert refused(change, settings) == gate.PasskeyUnproved.code


def test_a_real_signature_of_one_person_does_not_count_for_another(bank, change, phone, settings):
    forged(change, bank, who="lena" if "lena" in bank.people else "sam", passkey=Passkey.objects.get(),
           assertion=assertion(change, phone).kept)  # fmt: skip
    assert refused(change, settings) in {gate.PasskeyUnproved.code, gate.QuorumLost.code}


def test_a_chain_that_asks_for_a_session_and_is_signed_anew_is_not_what_policy_demands(
    bank, change, settings
):
    chain = chain_of(change)
    sql("UPDATE approvals_stage SET signature = 'session' WHERE chain_id = %s", chain.pk)
    resign(change, bank)
    forged(change, bank)
    assert refused(change, settings) == demand.DemandUnmet.code


def test_a_chain_without_the_stage_is_not_what_policy_demands(bank, change, settings):
    chain = chain_of(change)
    sql("DELETE FROM approvals_stage WHERE chain_id = %s AND name = 'Security'", chain.pk)
    resign(change, bank)
    assert refused(change, settings) == demand.DemandUnmet.code


def rewrite(change, bank, **columns) -> None:
    """The decision says something else, with its true digest; the chain asks what it says, signed anew."""
    chain = chain_of(change)
    for column, value in columns.items():
        domain = f"countersign/policy-{column}/v1"
        text = canonical(value).decode()
        sql(f"UPDATE approvals_decision SET {column} = %s WHERE id = %s", text, chain.decision_id)  # noqa: S608
        sql(
            f"UPDATE approvals_decision SET {column}_digest = %s WHERE id = %s",  # noqa: S608 - input or output
            digest(domain, value),
            chain.decision_id,
        )
    wanted = [one["stage"] for one in columns["output"]["require"]]
    sql("DELETE FROM approvals_stage WHERE chain_id = %s AND NOT name = ANY(%s)", chain.pk, wanted)
    sql("UPDATE approvals_stage SET signature = 'session' WHERE chain_id = %s", chain.pk)
    resign(change, bank)
    if "Security" in wanted:
        forged(change, bank)


def test_an_answer_rewritten_in_the_database_is_not_what_policy_answers(bank, change, settings):
    output = chain_of(change).decision.output
    stages = [{**one, "signature": "session"} for one in output["require"]]
    rewrite(change, bank, output={**output, "require": stages})
    assert refused(change, settings) == demand.DecisionAltered.code


def test_a_question_rewritten_in_the_database_is_not_about_what_would_run(bank, change, settings):
    decision = chain_of(change).decision
    facts = {**decision.input, "environment": {**decision.input["environment"], "slug": "staging"}}
    rewrite(change, bank, input=facts, output=decisions.again(decision.bundle, facts))
    assert refused(change, settings) == demand.DecisionAltered.code


def test_a_service_that_sql_made_less_critical_is_remembered(bank, settings):
    """Policy is asked honestly, about a tier that was turned; nobody from Security is asked at all."""
    settings.SIGNS_AS = "web"
    sql("UPDATE orchestration_service SET tier = 3 WHERE slug = 'web-bank'")
    change = bank.change()
    bank.say(change, "jonas")
    assert [one.name for one in chain_of(change).stages.all()] == ["Service owner"]
    assert refused(change, settings) == demand.ProtectionLost.code


def test_an_environment_that_sql_unprotected_is_remembered(bank, settings):
    settings.SIGNS_AS = "web"
    sql("UPDATE orchestration_environment SET protected = false, tier = 3 WHERE slug = 'production'")
    change = bank.change()
    bank.say(change, "jonas")
    assert refused(change, settings) == demand.ProtectionLost.code


def test_a_bundle_whose_files_were_exchanged_is_not_the_one_that_was_signed(bank, change, settings):
    lax = {path: text.replace('"passkey"', '"session"') for path, text in bank_bundle().sources.items()}
    sql(
        "UPDATE approvals_bundle SET sources = %s, digest = %s WHERE active",
        json.dumps(lax),
        bundles.digest(lax),
    )
    forged(change, bank)
    assert refused(change, settings) == demand.BundleAltered.code


def bank_bundle() -> Bundle:
    return Bundle.objects.get(active=True)


def back_to_the_first_policy(change, bank) -> None:
    """It was signed once, by the right key, and asks for no passkey."""
    first, chain = Bundle.objects.get(serial=1), chain_of(change)
    decision = chain.decision
    sql("UPDATE approvals_decision SET bundle_id = %s WHERE id = %s", first.pk, decision.pk)
    rewrite(change, bank, output=decisions.again(first, decision.input))


def test_an_older_policy_that_was_really_signed_does_not_come_back(bank, change, settings):
    back_to_the_first_policy(change, bank)
    assert refused(change, settings) == demand.PolicyTightened.code


def test_nor_does_it_when_the_newer_one_is_deleted(bank, change, settings):
    newest = bank_bundle()
    back_to_the_first_policy(change, bank)
    sql("UPDATE approvals_decision SET bundle_id = (SELECT id FROM approvals_bundle WHERE serial = 1)")
    sql("DELETE FROM approvals_bundle WHERE id = %s", newest.pk)
    sql("UPDATE approvals_bundle SET active = true WHERE serial = 1")
    assert refused(change, settings) == demand.BundleAltered.code


def test_a_permit_signed_with_the_web_servers_keys_permits_nothing(bank, change, settings):
    """The run is said to have started, so that only its permit is looked at."""
    chain, run = chain_of(change), uuid7()
    sql("UPDATE orchestration_change SET state = 'approved' WHERE id = %s", change.pk)
    change.refresh_from_db()
    with transaction.atomic():
        runs.create(change, revision=change.revision, by=TEST, at=timezone.now())
    run = change.runs.get().pk
    document = {"run": str(run), "chain": str(chain.pk), "digest": chain.subject, "expires_at": "2999"}
    signature = keys.sign("signoff", document)
    permit = Permit(
        run_id=run, chain=chain, subject=chain.subject, document=canonical(document), signature=signature,
        key_id=keys.key_id(signature), issued_at=timezone.now(), expires_at=timezone.now(),
    )  # fmt: skip
    with transaction.atomic():
        permit.save(force_insert=True)
        record("permit.issued", of=permit, subject="x", actor=TEST)
    sql("UPDATE orchestration_run SET state = 'running', permit_id = %s WHERE id = %s", permit.pk, run)
    sql("UPDATE orchestration_change SET state = 'running' WHERE id = %s", change.pk)
    settings.SIGNS_AS = "worker"
    assert not started(change)
    assert "does not carry a true signature" in Step.objects.get(run=run).held_reason


def test_an_approval_that_was_taken_back_does_not_return(bank, phone, settings):
    """Row, version and signature are exactly what they were before; the ledger says that she withdrew it."""
    change = signed(bank, phone)
    given = chain_of(change).sign_offs.get(user=bank.user("noor"))
    changes.withdraw_sign_off(change, given.pk, by=bank.people["noor"])
    settings.SIGNS_AS = "web"
    sql("UPDATE approvals_signoff SET withdrawn_at = NULL, version = 1 WHERE id = %s", given.pk)
    sql(
        "DELETE FROM orchestration_step WHERE run_id IN (SELECT id FROM orchestration_run WHERE state = 'cancelled')"
    )
    assert refused(change, settings) == gate.TakenBack.code


def test_other_content_under_the_same_approval_does_not_run(bank, phone, settings):
    change = signed(bank, phone)
    settings.SIGNS_AS = "web"
    document = bytes(change.revision.document).replace(b'"freezes":[]', b'"freezes":["none"]')
    assert document != bytes(change.revision.document)
    sql("UPDATE orchestration_revision SET document = %s WHERE id = %s", document, change.revision_id)
    assert refused(change, settings) == gate.OtherContent.code


def test_workers_remember_what_only_a_governed_act_may_weaken(bank, settings):
    service = {"tier": 1, "owner": "payments"}
    assert known.weaker("service:web-bank", service) == []
    assert known.weaker("service:web-bank", {"tier": 2, "owner": "payments"}) == ["tier"]
    assert known.weaker("service:web-bank", {"tier": 1, "owner": "security"}) == ["owner"]
    known.allow("service:web-bank", {"tier": 2})
    assert known.weaker("service:web-bank", {"tier": 2, "owner": "payments"}) == []
    settings.SIGNS_AS = "web"
    with pytest.raises(keys.KeyNotHeld):
        known.allow("service:web-bank", {"tier": 9})


def test_what_was_asked_is_asked_again_about_the_bytes_that_run(bank, phone):
    """The worker's own answer is good for one decision and one content."""
    change = signed(bank, phone)
    document = json.loads(bytes(change.revision.document))
    told = {"input.environment.slug": "production"}
    chain = chain_of(change)
    judged = demand.judge(chain.pk, told=told, requesters=document["requesters"])
    demand.check(judged, chain, chain.stages.all(), told)
    for other in ({"input.environment.slug": "staging"}, {}):
        with pytest.raises(demand.DecisionAltered):
            demand.check(judged, chain, chain.stages.all(), other)
    with pytest.raises(demand.DecisionAltered):
        demand.check(None, chain, chain.stages.all(), told)
    with pytest.raises(demand.DecisionAltered, match="other requesters"):
        demand.judge(chain.pk, told=told, requesters=[])
