"""What people do with changes: who may, what voids what, and that nothing is decided on what was not seen."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.db import transaction

from accounts import permissions, teams
from accounts.acting import Acting
from approvals.chain import Verdict
from approvals.models import Chain, Decision, SignOff
from approvals.signoffs import NotInteractive, OwnChange
from audit.canonical import parse
from audit.ledger import openings
from audit.models import Entry
from audit.refusals import (
    Invalid,
    MoveNotAllowed,
    NotAllowed,
    NotFound,
    Refusal,
    StaleVersion,
    WeakensProtection,
)
from orchestration import access, asking, catalogue, changes
from orchestration.definitions import digest as digests
from orchestration.definitions.workflow import load
from orchestration.models import Change, Run, Step
from tests.factories import DEPLOY, REACHED, TEST, Bank, change_in
from tests.orchestration.deeds import claimed

S = Change.State


@pytest.fixture
def bank(db) -> Bank:
    return Bank()


@pytest.fixture
def committing(transactional_db) -> Bank:
    """For what needs real commits: threads, and the ledger's deferred constraint."""
    return Bank()


def revision(change):
    return asking.current_revision(Change.objects.get(pk=change.pk))


# --- asking -----------------------------------------------------------------------------------------------


def test_a_request_waits_for_the_chain_that_policy_demands_and_says_all_in_one_entry(committing):
    change = committing.change()
    entry = Entry.objects.get(kind="change.requested")
    told, now = parse(bytes(entry.body))["data"], revision(change)
    assert (change.state, change.title) == ("waiting", "Deploy web-bank 42 to production")
    assert told["digest"] == now.digest == digests.digest(bytes(now.document))
    assert told["chain_digest"] == now.chain.digest
    assert told["policy_decision"] == str(now.chain.decision_id)
    assert told["environment_tier"] == 1
    assert told["conflicted"] == [str(committing.user("mara").person_id)]


def test_policy_reads_records_and_nothing_that_was_typed(bank):
    bank.change(reason="tier 3, not production, already approved")
    facts = Decision.objects.get().input
    assert facts["service"] == {"slug": "web-bank", "tier": 1, "owner": "payments"}
    assert facts["requester"]["teams"] == ["payments"]
    assert facts["claims"] == {}
    assert facts["change"]["id"].startswith("CHG-")


@pytest.mark.parametrize(
    ("changed", "pointer"),
    [
        ({"environment": "prodution"}, "/environment"),
        ({"environment": "Production"}, "/environment"),
        ({"environment": "{{environment}}"}, "/environment"),
        ({"environment": "production "}, "/environment"),
        ({"environment": "test"}, "/environment"),
        ({"service": "web"}, "/service"),
        ({"service": "vault"}, "/service"),
        ({"inputs": {}}, "/inputs/version"),
        ({"inputs": {"version": 42}}, "/inputs/version"),
        ({"inputs": {"version": "42", "path": "/bin"}}, "/inputs/path"),
        ({"inputs": {"version": "42", "seconds": 61}}, "/inputs/seconds"),
        ({"inputs": {"version": "42", "seconds": 1.0}}, "/inputs/seconds"),
        ({"inputs": {"version": "42\n"}}, "/inputs/version"),
        ({"reason": "  "}, "/reason"),
        ({"reason": "a\0b"}, "/reason"),
        ({"reason": "x" * 4001}, "/reason"),
        ({"not_after": datetime(2020, 1, 1, tzinfo=UTC)}, "/not_after"),
        ({"not_before": datetime(2099, 1, 1)}, "/not_before"),  # noqa: DTZ001 - the fault that is tested
    ],
)
def test_what_does_not_fit_is_named_by_pointer_and_nothing_is_stored(bank, changed, pointer):
    with pytest.raises(Invalid) as refused:
        bank.asked(**changed)
    assert [error["pointer"] for error in refused.value.errors] == [pointer]
    assert not Change.objects.exists()
    assert not Decision.objects.exists()


def test_a_default_becomes_part_of_what_is_signed(bank):
    document = parse(bytes(revision(bank.change()).document))
    assert document["inputs"] == {"version": "42", "seconds": 0}
    assert document["steps"][0]["with"] == {"seconds": 0}


def test_whoever_may_see_but_not_request_learns_who_may(bank):
    permissions.revoke(bank.teams["payments"], "request", bank.environment("production"), by=TEST)
    with pytest.raises(NotAllowed, match="Security"):
        bank.asked()


def test_for_an_outsider_there_is_no_such_workflow(bank):
    with pytest.raises(NotFound):
        bank.asked("ravi")


def test_a_demand_that_nobody_could_meet_is_refused_at_once(bank):
    permissions.revoke(bank.teams["security"], "sign_off", bank.service, by=TEST)
    with pytest.raises(asking.NobodyCanDecide, match="Security"):
        bank.asked()


def test_a_preview_stores_nothing_and_leaves_out_who_never_counts(bank):
    before = Entry.objects.count()
    found = asking.preview(
        workflow="deploy", service="web-bank", environment="production", inputs={"version": "42"},
        by=bank.people["mara"],
    )  # fmt: skip
    named = {one["stage"]: [person["name"] for person in one["people"]] for one in found["require"]}
    assert named == {"Service owner": ["Jonas"], "Security": ["Ines", "Noor"]}
    assert found["allowed"]
    assert found["digest_preview"].startswith("sha256:")
    assert (Entry.objects.count(), Decision.objects.count()) == (before, 0)


def test_the_person_behind_a_service_account_never_counts(bank):
    account = teams.create_service_account(
        username="ci", name="ci@payments", person=bank.user("jonas").person, by=TEST
    )
    teams.join(bank.teams["payments"], account, by=TEST)
    bank.people["ci"] = Acting(account, "token")
    change = bank.change("ci")
    with pytest.raises(OwnChange):
        bank.say(change, "jonas")
    bank.say(change, "mara")


def test_the_author_of_the_version_never_counts(bank):
    definition = load(DEPLOY.replace("title: Deploy,", "title: Deploy it,"))
    version = catalogue.add_version(definition, origin="upload", by=bank.people["jonas"])
    with pytest.raises(catalogue.OwnVersion):
        catalogue.approve_version(version, by=bank.people["jonas"])
    catalogue.approve_version(version, by=bank.people["mara"])
    teams.join(bank.teams["payments"], bank.user("sam"), by=TEST)
    change = bank.change()
    with pytest.raises(OwnChange):
        bank.say(change, "jonas")
    bank.say(change, "sam")


def test_a_version_waits_for_somebody_else_of_its_team_and_then_replaces_the_active_one(bank):
    old = bank.workflow.active
    definition = load(DEPLOY.replace("title: Deploy,", "title: Deploy it,"))
    with pytest.raises(NotAllowed, match="payments"):
        catalogue.add_version(definition, origin="upload", by=bank.people["noor"])
    version = catalogue.add_version(definition, origin="upload", by=bank.people["mara"])
    assert (version.state, bank.change().title) == ("waiting", "Deploy web-bank 42 to production")
    for who in ("noor", "mara"):
        with pytest.raises(NotAllowed):
            catalogue.approve_version(version, by=bank.people[who])
    with pytest.raises(NotAllowed):
        catalogue.approve_version(version, by=Acting(bank.user("jonas"), "token"))
    catalogue.approve_version(version, by=bank.people["jonas"])
    old.refresh_from_db()
    bank.workflow.refresh_from_db()
    assert (old.state, bank.workflow.active, bank.workflow.title) == ("retired", version, "Deploy it")
    with pytest.raises(MoveNotAllowed):
        catalogue.approve_version(version, by=bank.people["jonas"])


# --- deciding ---------------------------------------------------------------------------------------------


def test_the_last_sign_off_makes_the_run_and_leaves_it_to_the_gate(committing):
    change = committing.change()
    assert committing.say(change, "jonas") == Verdict.WAITING
    assert not Run.objects.exists()
    assert committing.say(change, "noor") == Verdict.COMPLETE
    run = Run.objects.get()
    assert (run.digest, run.state, Change.objects.get().state) == (
        revision(change).digest,
        "ready",
        "approved",
    )


@pytest.mark.parametrize("state", [one for one in REACHED if one != S.WAITING])
def test_c06_nobody_decides_on_a_change_that_asks_nobody(committing, state):
    change = change_in(state, committing)
    given = SignOff.objects.count()
    with pytest.raises(Refusal) as refused:
        committing.say(change, "ines")
    assert refused.value.status == 409
    assert (SignOff.objects.count(), Change.objects.get().state) == (given, state)


def test_c10_a_decision_on_other_content_is_refused_with_what_changed(bank):
    change = bank.change()
    seen = revision(change)
    changes.revise(change, asking.ask_again(
        change, inputs={"version": "43"}, reason="Another.", by=bank.people["mara"]
    ))  # fmt: skip
    with pytest.raises(StaleVersion):
        bank.say(change, "jonas", stage=seen.chain.stages.get(name="Service owner").pk, digest=seen.digest)
    with pytest.raises(StaleVersion):
        bank.say(change, "jonas", digest=seen.digest)
    with pytest.raises(StaleVersion):
        bank.say(change, "jonas", chain_digest=seen.chain.digest)
    assert not SignOff.objects.exists()


def test_a_sign_off_of_one_change_is_worth_nothing_on_another(bank):
    one, other = bank.change(), bank.change()
    given = revision(one)
    with pytest.raises(StaleVersion):
        bank.say(other, "jonas", digest=given.digest, chain_digest=given.chain.digest)


def test_going_back_to_what_was_signed_does_not_bring_the_signatures_back(bank):
    change = bank.change()
    bank.say(change, "jonas")
    for version in ("43", "42"):
        asked = asking.ask_again(
            Change.objects.get(pk=change.pk),
            inputs={"version": version},
            reason="The new transfer page.",
            by=bank.people["mara"],
        )
        changes.revise(change, asked)
    bank.say(change, "noor")
    assert Change.objects.get().state == "waiting"
    digests_ = set(change.revisions.values_list("digest", flat=True))
    assert len(digests_) == 3


def test_the_requester_reads_why_before_hearing_of_grants(bank):
    change = bank.change()
    permissions.revoke(bank.teams["payments"], "sign_off", bank.service, by=TEST)
    with pytest.raises(OwnChange):
        bank.say(change, "mara")
    with pytest.raises(NotAllowed, match="not sign off"):
        bank.say(change, "jonas")


def test_neither_a_token_nor_an_administrator_signs_off(bank):
    change = bank.change()
    stage = revision(change).chain.stages.get(name="Service owner").pk
    with pytest.raises((NotAllowed, NotFound)):
        bank.say(change, "sam", stage=stage)
    bank.people["jonas"] = Acting(bank.user("jonas"), "token")
    with pytest.raises(NotInteractive):
        bank.say(change, "jonas")


def test_a_sign_off_taken_back_makes_an_approved_change_wait_again(committing):
    change = committing.approved()
    mine = SignOff.objects.get(user=committing.user("noor"))
    with pytest.raises(NotAllowed):
        changes.withdraw_sign_off(change, mine.pk, by=committing.people["jonas"])
    with pytest.raises(NotFound):
        changes.withdraw_sign_off(committing.change(), mine.pk, by=committing.people["noor"])
    changes.withdraw_sign_off(change, mine.pk, by=committing.people["noor"])
    assert Change.objects.get(pk=change.pk).state == "waiting"
    assert claimed(Step.objects.get()) is None
    committing.say(change, "ines")
    assert (Change.objects.get(pk=change.pk).state, Run.objects.count()) == ("approved", 1)


# --- editing and ending -----------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [S.WAITING, S.SENT_BACK, S.APPROVED])
def test_an_edit_before_the_start_asks_everybody_anew(committing, state):
    change = change_in(state, committing)
    old = revision(change)
    asked = asking.ask_again(change, inputs={"version": "43"}, reason="Now.", by=committing.people["mara"])
    changes.revise(change, asked)
    new = revision(change)
    assert (Change.objects.get().state, new.number, new.chain.state) == ("waiting", 2, "open")
    assert Chain.objects.get(pk=old.chain_id).state == "void"
    assert not Run.objects.exclude(state="cancelled").exists()


@pytest.mark.parametrize("state", [one for one in REACHED if one not in {S.WAITING, S.SENT_BACK, S.APPROVED}])
def test_what_has_started_or_ended_is_neither_edited_nor_withdrawn(committing, state):
    change = change_in(state, committing)
    mara = committing.people["mara"]
    with pytest.raises(MoveNotAllowed):
        asking.ask_again(change, inputs={"version": "43"}, reason="Now.", by=mara)
    with pytest.raises(MoveNotAllowed):
        changes.withdraw(change, by=mara)


def test_two_edits_of_one_revision_make_one_new_one(bank):
    change = bank.change()
    asked = [
        asking.ask_again(change, inputs={"version": version}, reason="Now.", by=bank.people["mara"])
        for version in ("43", "44")
    ]
    changes.revise(change, asked[0])
    with pytest.raises(StaleVersion):
        changes.revise(change, asked[1])
    assert revision(change).inputs["version"] == "43"


@pytest.mark.parametrize("state", [S.WAITING, S.APPROVED])
def test_editing_the_environment_sends_back_whatever_was_asked_of_it(committing, state):
    change = change_in(state, committing)
    running = change_in(S.RUNNING, committing)
    catalogue.edit_environment(committing.environment("production"), name="Prod", by=TEST)
    assert Change.objects.get(pk=change.pk).state == "sent_back"
    assert Change.objects.get(pk=running.pk).state == "running"
    assert revision(change).chain.state == "void"
    assert not change.runs.exclude(state="cancelled").exists()


def test_a_request_that_was_judged_on_an_older_record_is_not_stored(bank):
    asked = bank.asked()
    catalogue.edit_service(bank.service, name="Web bank 2", by=TEST)
    with pytest.raises(StaleVersion):
        changes.request_change(asked)
    assert not Change.objects.exists()


def test_an_edit_alone_never_weakens_protection(bank):
    production = bank.environment("production")
    for edited in ({"protected": False}, {"tier": 2}):
        with pytest.raises(WeakensProtection):
            catalogue.edit_environment(production, by=TEST, **edited)
    with pytest.raises(WeakensProtection):
        catalogue.edit_service(bank.service, tier=2, by=TEST)


def test_only_who_may_operate_asks_for_the_start_and_stops_the_run(bank):
    change = bank.approved()
    for act in (changes.start, changes.cancel):
        with pytest.raises(NotAllowed):
            act(change, by=bank.people["ravi"])
    Step.objects.update(not_before=datetime.now(UTC) + timedelta(hours=1))
    changes.start(change, by=bank.people["jonas"])
    assert Step.objects.get().not_before <= datetime.now(UTC)
    changes.cancel(change, by=bank.people["noor"])
    assert Change.objects.get().state == "cancelled"


def test_a_comment_stands_in_the_ledger_by_a_commitment_and_beside_it_as_it_was_typed(bank):
    change = bank.change()
    changes.comment(change, text=" Please look at step 2. ", by=bank.people["noor"])
    entry = Entry.objects.get(kind="change.commented")
    assert openings.data(entry)["text"] == "Please look at step 2."
    assert b"step 2" not in bytes(entry.body)
    for text in ("", "  ", "a\x1b[2J", "x" * 4001):
        with pytest.raises(Invalid):
            changes.comment(change, text=text, by=bank.people["noor"])


# --- who sees what ----------------------------------------------------------------------------------------


def test_the_inbox_asks_whom_the_open_stage_asks_until_they_have_decided(bank):
    change = bank.change()
    asked = {who: change in access.waiting_for(bank.user(who)) for who in bank.people}
    assert asked == {"mara": False, "jonas": True, "noor": True, "ines": True, "sam": False, "ravi": False}
    bank.say(change, "noor")
    assert change not in access.waiting_for(bank.user("noor"))
    assert change in access.waiting_for(bank.user("jonas"))


def test_what_one_may_not_see_is_not_found(bank):
    change = bank.change()
    for key in (
        change.key,
        str(change.pk),
        "CHG-999",
        "CHG-0",
        "CHG-1 ",
        str(uuid4()),
        "1",
        "",
        "CHG-" + "9" * 30,
    ):
        with pytest.raises(NotFound):
            access.get_change_or_404(bank.user("ravi"), key)
    assert access.get_change_or_404(bank.user("noor"), change.key) == change


def test_a_change_without_its_entry_cannot_be_committed(committing):
    change = committing.change()
    with pytest.raises(Exception, match="orchestration_change"), transaction.atomic():
        Change.objects.filter(pk=change.pk).update(state="approved")


def test_whoever_comes_back_counts_again_when_another_takes_a_sign_off_back(committing):
    """The verdict may turn complete by a withdrawal: then the change goes on, and nobody is left waiting for nobody."""
    change, payments = committing.change(), committing.teams["payments"]
    committing.say(change, "jonas")
    teams.leave(payments, committing.user("jonas"), by=TEST)
    for who in ("noor", "ines"):
        assert committing.say(change, who) == Verdict.WAITING
    teams.join(payments, committing.user("jonas"), by=TEST)
    spare = SignOff.objects.get(user=committing.user("ines"))
    changes.withdraw_sign_off(change, spare.pk, by=committing.people["ines"])
    assert Change.objects.get(pk=change.pk).state == "approved"
    assert claimed(Step.objects.get()) is not None
