"""A small bank for whole journeys: Mara asks, Jonas and Lena own the service, Noor is Security, Ivan is nobody here."""

from pathlib import Path

from django.db import transaction

from accounts import permissions, teams
from accounts.acting import Acting
from accounts.models import User
from approvals.policy import bundles
from audit.ledger.entry import system
from audit.ledger.record import record
from orchestration import asking, changes
from orchestration.definitions.workflow import load
from orchestration.engine.nodes import Node
from orchestration.engine.work import work
from orchestration.models import Change, Environment, Service, Step, Workflow, WorkflowVersion
from tests import kept

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
    """The people by name, and what they do."""

    def __init__(self):
        kept.begin(self, Bank, self._build)

    def _build(self):
        bundles.first_start(Path("examples/policies/starter"), by=TEST)
        self.people = {}
        for team, *members in (
            ("payments", "mara", "jonas", "lena"),
            ("security", "noor"),
            ("elsewhere", "ivan"),
        ):
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
