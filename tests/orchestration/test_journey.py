"""The whole way at the service layer: asked, judged, signed off, claimed through the gate, run, completed, provable."""

from pathlib import Path

import pytest
from django.db import transaction

from accounts import permissions, teams
from accounts.acting import Acting
from accounts.models import User
from approvals.models import Chain
from approvals.policy import bundles
from approvals.signoffs import NotInteractive, OwnChange
from audit.ledger.entry import system
from audit.ledger.record import record
from audit.models import Entry
from audit.refusals import Invalid, MoveNotAllowed, NotAllowed, NotFound
from orchestration import asking, changes
from orchestration.definitions.workflow import load
from orchestration.engine.nodes import Node
from orchestration.engine.work import work
from orchestration.models import Change, Environment, Run, Service, Step, Workflow, WorkflowVersion

pytestmark = pytest.mark.django_db(transaction=True)
TEST = system("system:test")
DEFINITION = """
apiVersion: countersign.dev/v1
kind: Workflow
metadata: {name: deploy, title: Deploy, owner: payments}
spec:
  summary: Deploy {{service}} {{inputs.version}} to {{environment}}
  inputs:
    version: {type: string, pattern: '^[0-9]+$', title: Version}
  environments: [production]
  steps:
    build: {uses: command, with: {argv: [./build.sh, "{{inputs.version}}"]}, effect: idempotent}
    deploy: {needs: [build], uses: command, with: {argv: [/bin/echo, "deployed {{inputs.version}}"]}}
"""


def row(model, kind, **columns):
    with transaction.atomic():
        made = model.objects.create(**columns)
        record(f"{kind}.created", of=made, subject=kind, actor=TEST)
    return made


class Bank:
    """Mara asks; Jonas owns the service; Noor is Security; Ivan is nobody here."""

    def __init__(self):
        bundles.first_start(Path("examples/policies/starter"), by=TEST)
        self.people = {}
        for team, *members in (("payments", "mara", "jonas"), ("security", "noor"), ("elsewhere", "ivan")):
            made = teams.create_team(slug=team, name=team.title(), by=TEST)
            for name in members:
                with transaction.atomic():
                    user = teams.create_person(username=name, name=name.title(), by=TEST)
                teams.join(made, user, by=TEST)
                self.people[name] = Acting(User.objects.get(username=name), "session")
            if team == "payments":
                self._catalogue(made)
            if team != "elsewhere":
                self._grant(made)

    def _catalogue(self, owner):
        definition = load(DEFINITION, {"build.sh": '#!/bin/sh\necho "built $1"\n'})
        self.environment = row(
            Environment, "environment", slug="production", name="Production", tier=1, position=3
        )
        self.service = row(Service, "service", slug="payments-api", name="Payments API", tier=1, owner=owner)
        self.workflow = row(Workflow, "workflow", slug="deploy", title="Deploy", owner=owner)
        version = row(
            WorkflowVersion, "workflow_version", workflow=self.workflow, number=1, digest=definition.digest,
            source=definition.text, document=definition.document, files=definition.files, state="active",
        )  # fmt: skip
        with transaction.atomic():
            Workflow.objects.filter(pk=self.workflow.pk).update(active=version, version=2)
            self.workflow.version, self.workflow.active = 2, version
            record("workflow.activated", of=self.workflow, subject="deploy", actor=TEST)

    def _grant(self, team):
        for one in (self.workflow, self.service, self.environment):
            for verb in ("view", "request", "sign_off", "operate"):
                permissions.grant(team, verb, one, by=TEST)

    def ask(self, who="mara", **changed):
        given = {"workflow": "deploy", "service": "payments-api", "environment": "production",
                 "inputs": {"version": "42"}, "reason": "Because.", **changed}  # fmt: skip
        return asking.ask(**given, by=self.people[who])

    def change(self):
        return changes.request_change(self.ask())

    def say(self, change, who, stage, decision="approve", **changed):
        change = Change.objects.select_related("revision__chain").get(pk=change.pk)
        chain = change.revision.chain
        given = {
            "digest": change.revision.digest,
            "chain_digest": chain.digest,
            "comment": "",
            "condition": "",
            **changed,
        }
        stage = chain.stages.get(name=stage)
        return changes.decide(
            change, stage=stage.pk, decision=decision, by=self.people[who], **{**given, **changed}
        )

    def run(self):
        node = Node()
        node.register()
        for step in Step.objects.filter(state="ready"):
            work(step.pk, node=node)


@pytest.fixture
def bank():
    return Bank()


def test_a_change_is_asked_for_countersigned_twice_and_runs(bank):
    change = bank.change()
    assert change.key.startswith("CHG-")
    assert change.title == "Deploy payments-api 42 to production"
    assert {stage.name for stage in change.revision.chain.stages.all()} == {"Service owner", "Security"}
    bank.run()
    assert not Run.objects.exists()
    bank.say(change, "jonas", "Service owner")
    assert not Run.objects.exists()
    bank.say(change, "noor", "Security")
    run = Run.objects.get()
    bank.run()
    run.refresh_from_db()
    change.refresh_from_db()
    assert (run.state, change.state) == ("succeeded", "succeeded")
    log = [
        bytes(chunk.data)
        for step in run.steps.all()
        for one in step.attempts.all()
        for chunk in one.chunks.all()
    ]
    assert log == [b"built 42\n", b"deployed 42\n"]
    kinds = list(Entry.objects.order_by("id").values_list("kind", flat=True))
    for kind in ("policy.decided", "chain.opened", "change.requested", "sign_off.given", "chain.completed",
                 "change.approved", "permit.issued", "run.running", "change.succeeded"):  # fmt: skip
        assert kind in kinds


def test_the_requester_cannot_approve_and_reads_why(bank):
    change = bank.change()
    with pytest.raises(OwnChange, match="You requested this change"):
        bank.say(change, "mara", "Service owner")


def test_a_token_never_signs_off(bank):
    change = bank.change()
    bank.people["jonas"] = Acting(bank.people["jonas"].user, "token")
    with pytest.raises(NotInteractive):
        bank.say(change, "jonas", "Service owner")


def test_an_outsider_finds_nothing(bank):
    with pytest.raises((NotFound, NotAllowed)):
        bank.ask("ivan")


def test_wrong_inputs_are_named_by_pointer(bank):
    with pytest.raises(Invalid) as refused:
        bank.ask(inputs={"version": "x"})
    assert refused.value.errors == [
        {"pointer": "/inputs/version", "detail": "Version does not have the expected form."}
    ]


def test_an_edit_voids_what_was_signed(bank):
    change = bank.change()
    bank.say(change, "jonas", "Service owner")
    old = asking.current_revision(Change.objects.get(pk=change.pk))
    asked = asking.ask_again(change, inputs={"version": "43"}, reason="Another.", by=bank.people["mara"])
    changes.revise(change, asked)
    assert Chain.objects.get(pk=old.chain_id).state == "void"
    bank.say(change, "noor", "Security")
    assert not Run.objects.exists()


def test_a_rejection_ends_it_and_a_withdrawn_change_cannot_be_decided(bank):
    change = bank.change()
    bank.say(change, "noor", "Security", "reject", comment="No.")
    change.refresh_from_db()
    assert change.state == "rejected"
    with pytest.raises(MoveNotAllowed):
        changes.withdraw(change, by=bank.people["mara"])


def test_a_sign_off_taken_back_before_the_start_keeps_it_from_starting(bank):
    change = bank.change()
    bank.say(change, "jonas", "Service owner")
    bank.say(change, "noor", "Security")
    change.refresh_from_db()
    mine = change.revision.chain.sign_offs.get(user=bank.people["noor"].user)
    changes.withdraw_sign_off(change, mine.pk, by=bank.people["noor"])
    bank.run()
    change.refresh_from_db()
    assert (change.state, Run.objects.get().state) == ("waiting", "ready")


def test_a_preview_names_who_could_agree_and_stores_nothing(bank):
    before = Entry.objects.count()
    found = asking.preview(workflow="deploy", service="payments-api", environment="production",
                           inputs={"version": "42"}, by=bank.people["mara"])  # fmt: skip
    assert found["allowed"]
    assert {one["stage"]: [who["name"] for who in one["people"]] for one in found["require"]} == {
        "Service owner": ["Jonas"], "Security": ["Noor"],
    }  # fmt: skip
    assert Entry.objects.count() == before
