"""What the product really writes: a change that ran is effective under every test, and the ledger fits."""

import pytest
from django.test import Client

from accounts import permissions, teams
from accounts.acting import Acting
from approvals import probe
from audit import search
from audit.archive import writing
from audit.controls import evaluate
from audit.controls.evaluate import Scope
from audit.ledger import checkpoint, examine
from audit.pages import trail
from orchestration import asking, changes, evidence
from orchestration.engine.nodes import Node
from orchestration.governed.install import install
from orchestration.models import Environment, Service, Workflow
from tests import factories
from tests.accounts.cast import PASSWORD, issue
from tests.audit.ledgers import DIGEST, IMAGE, PASSED
from tests.audit.log import as_insider, newest, sequence, write
from tests.factories import TEST
from tests.orchestration.bank import Bank
from tests.orchestration.deeds import ended, holding
from tests.orchestration.test_governed import agree, ask, run
from tests.orchestration.test_manual import MANUAL, asked, say
from tests.orchestration.test_reviews import conclude, lend, over

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def done(own_key):
    bank = Bank()
    change = bank.change()
    bank.say(change, "jonas", "Service owner")
    bank.say(change, "noor", "Security")
    bank.run()
    sequence()
    change.bank = bank
    return change


def test_a_change_that_ran_passes_what_the_product_ensures_by_itself(done):
    report = evaluate.evaluate(newest(), Scope())
    found = {one.control.id: one.rows[0]["reason"] if one.rows else one.result for one in report.tested}
    short = {
        "CT-10": "evidence_missing",
        "CT-11": "no_observer",
        "CT-18": "no_artifact",
        "CT-19": "not_verified",
    }
    assert found == {**PASSED, **short, "CT-16": "not_tested"}, "what nobody told fails, or cannot be told"
    row = report.tested[0].rows[0]
    assert (row["change"], row["service"], len(row["approvers"])) == (done.key, "payments-api", 2)


SHIP = """
apiVersion: countersign.dev/v1
kind: Workflow
metadata: {name: deploy, title: Ship, owner: payments}
spec:
  summary: Ship {{version}} to {{environment}}
  inputs:
    version: {type: string, title: Image}
  environments: [staging, production]
  steps:
    put: {uses: wait, with: {seconds: 0}, effect: at_most_once}
    look: {uses: wait, phase: verify, with: {seconds: 0}, effect: at_most_once}
"""


def shipped(bank, environment):
    """With its evidence, by people who took no part in it, and seen by an observer afterwards."""
    change = bank.change(inputs={"version": f"registry.example/bank@{IMAGE}"}, environment=environment)
    for kind in ("impact", "test_result", "security_check", "rollback_plan"):
        evidence.attach(
            change, evidence_kind=kind, digest=DIGEST, address="https://ci.example/1", by=bank.people["mara"]
        )
    chain = asking.current_revision(change).chain
    for name in ("jonas", "noor"):
        if chain.stages.filter(name="Security" if name == "noor" else "Service owner").exists():
            bank.say(change, name)
    for key in ("put", "look"):
        ended(holding(change.runs.get().steps.get(key=key)))
    evidence.observe(service="web-bank", environment=environment, running=[IMAGE], by=bank.people["mara"])
    return change


def test_a_change_with_all_that_others_tell_passes_all_of_it(own_key):
    bank = factories.Bank(SHIP)
    shipped(bank, "staging")
    shipped(bank, "production")
    sequence()
    report = evaluate.evaluate(newest(), Scope(environment="production"))
    found = {one.control.id: one.rows[0]["reason"] if one.rows else one.result for one in report.tested}
    assert found == {**PASSED, "CT-16": "not_tested"}
    facts = evaluate.known(newest().size, bytes(newest().root))
    links = [one.title for one in trail.chain(facts, report.tested[0].rows[0])]
    given = ["impact", "test result", "security check", "rollback plan"]
    assert links[2:6] == [f"Attached: {kind}" for kind in given], "between what was demanded and who agreed"
    staged = evaluate.evaluate(newest(), Scope(environment="staging"))
    assert [row["reason"] for row in staged.of("CT-18").rows] == ["stage_skipped"], (
        "test comes before staging"
    )


def test_a_governed_act_takes_two_and_a_terminal_takes_one(own_key):
    bank = factories.Bank()
    install(bank.teams["platform"], by=TEST)
    for slug in ("payments", "security", "platform"):
        for one in (*Workflow.objects.all(), *Environment.objects.all(), *Service.objects.all()):
            for verb in ("request", "sign_off"):
                permissions.grant(bank.teams[slug], verb, one, by=TEST)
    change = ask(bank, "membership-start", team="security", account="ravi")
    agree(change, bank, "sam", "noor")
    node = Node()
    node.register()
    try:
        run(change, node)
    finally:
        node.stop()
    teams.join(bank.teams["elsewhere"], bank.user("mara"), by=TEST)
    sequence()
    rows = evaluate.evaluate(newest(), Scope()).of("CT-17").rows
    found = [(row["item"], row["reason"]) for row in rows if row["result"] != "na"]
    assert found == [
        ("membership.started team:security", "two_people"), ("membership.started team:elsewhere", "one_person"),
    ]  # fmt: skip


def test_a_leaver_has_no_session_and_no_token_left(own_key):
    bank = factories.Bank()
    jonas = bank.user("jonas")
    jonas.set_password(PASSWORD)
    jonas.save(update_fields=["password"])
    assert Client().post("/accounts/login/", {"login": "jonas", "password": PASSWORD}).status_code == 302
    issue(jonas, "changes:read")
    sequence()
    facts = evaluate.known(newest().size, bytes(newest().root))
    assert len(facts.keys.opens[str(jonas.pk)]) == 2, "a session and a token"
    teams.deactivate(jonas, by=TEST)
    sequence()
    [row] = evaluate.evaluate(newest(), Scope()).of("CT-16").rows
    assert row["reason"] == "rights_ended"
    facts = evaluate.known(newest().size, bytes(newest().root))
    assert facts.keys.open_after(str(jonas.pk), facts.until) == []


def test_the_stop_that_was_tried_is_what_the_control_test_reads(done):
    def days():
        sequence()
        return [
            row["reason"]
            for row in evaluate.evaluate(newest(), Scope()).of("CT-14").rows
            if row["kind"] == "day"
        ]

    assert days() == ["never_probed"]
    probe.daily()
    assert days() == ["probed"]


def test_an_archive_in_a_folder_is_found_and_whether_it_may_be_deleted_is_not_known(own_key, tmp_path):
    write(3)
    sequence()
    for _ in range(2):
        writing.archive(str(tmp_path / "archive"), by=TEST)
        write(3)
        sequence()
    [row] = evaluate.evaluate(newest(), Scope()).of("CT-20").rows
    assert (row["item"], row["reason"]) == (str(tmp_path / "archive"), "not_locked")


def reason(control):
    """Of the only execution, by everything that is written now."""
    sequence()
    [row] = evaluate.evaluate(newest(), Scope()).of(control).rows
    return row["reason"]


@pytest.mark.parametrize(("who", "found"), [("jonas", "own_hands"), ("ines", "other_hands")])
def test_whoever_ticks_a_step_off_has_implemented(own_key, who, found):
    bank = factories.Bank(MANUAL)
    run = asked(bank)
    assert reason("CT-04") == "other_hands"
    say(run, bank.people[who])
    assert reason("CT-04") == found


@pytest.mark.parametrize(("who", "found"), [("noor", "own_hands"), ("mara", "other_hands")])
def test_whoever_asks_for_the_start_has_implemented(own_key, who, found):
    bank = factories.Bank()
    change = bank.approved()
    changes.start(change, by=bank.people[who])
    holding(change.runs.get().steps.get())
    assert reason("CT-04") == found


def test_who_decides_in_somebodys_place_is_entitled(own_key):
    bank = factories.Bank()
    lend(bank, "noor", "ravi")
    change = bank.change()
    bank.say(change, "jonas")
    security = asking.current_revision(change).chain.stages.get(name="Security").pk
    for one in (bank.workflow, bank.service, bank.environment("production")):
        permissions.grant(bank.teams["elsewhere"], "sign_off", one, by=TEST)
    bank.say(change, "ravi", stage=security)
    holding(change.runs.get().steps.get())
    assert reason("CT-05") == "entitled"


def test_an_emergency_is_judged_by_the_review_that_people_wrote(own_key):
    bank = factories.Bank()
    for name in ("olga", "pavel"):
        user = teams.create_person(username=name, name=name.title(), by=TEST)
        teams.join(bank.teams["security"], user, by=TEST)
        bank.people[name] = Acting(user, "session")
    change = over(bank)
    assert reason("CT-08") == "review_open"
    conclude(bank, change, "olga")
    assert reason("CT-08") == "review_open"
    conclude(bank, change, "pavel")
    assert reason("CT-08") == "reviewed"


def test_everything_the_product_wrote_fits_and_an_edited_state_does_not(done):
    assert examine.examine(checkpoint.keys()).findings == []
    as_insider("UPDATE orchestration_change SET state = 'withdrawn'")
    assert [one.text for one in examine.examine(checkpoint.keys()).findings] == [
        f"The change {done.pk} was edited: it is not as its newest entry sealed it."
    ]


def test_the_search_tells_the_whole_story_of_a_change_and_of_no_other(done):
    other = done.bank.change()
    sequence()
    story = set(search.find(search.parse(f"about:{done.key}")).values_list("kind", flat=True))
    assert {"change.requested", "chain.opened", "sign_off.given", "permit.issued", "step.succeeded"} <= story
    assert search.find(search.parse(f"about:{done.key} kind:sign_off.*")).count() == 2
    assert not search.find(search.parse(f"about:{other.key} kind:sign_off.*")).exists()
