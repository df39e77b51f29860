"""The cast of the tests and the places of their bank, made by the product's own writers.

Mara asks, Jonas owns the service, Noor and Ines are Security, Sam looks after the platform and is admin, Ravi is in
no team that may do anything. `change_in` walks a change to a state: every row has the history that a real one has.
"""

from pathlib import Path
from typing import Any

from django.db import transaction

from accounts import permissions, teams
from accounts.acting import Acting
from accounts.models import User
from approvals.policy import bundles
from audit.ledger.entry import system
from orchestration import asking, catalogue, changes
from orchestration.definitions.workflow import load
from orchestration.engine.reconcile import expire
from orchestration.models import Change, Environment, Service, Workflow
from tests import kept
from tests.orchestration.deeds import ended, holding

TEST = system("system:test")
S = Change.State
TEAMS = {
    "payments": ("mara", "jonas"),
    "security": ("noor", "ines"),
    "platform": ("sam",),
    "elsewhere": ("ravi",),
}
DEPLOY = """
apiVersion: countersign.dev/v1
kind: Workflow
metadata: {name: deploy, title: Deploy, owner: payments}
spec:
  summary: Deploy {{service}} {{version}} to {{environment}}
  inputs:
    version: {type: string, pattern: '^[0-9]+([.][0-9]+)*$', title: Version}
    seconds: {type: integer, minimum: 0, maximum: 60, default: 0}
  environments: [staging, production]
  steps:
    pause: {uses: wait, with: {seconds: "{{inputs.seconds}}"}, effect: at_most_once}
"""


class Bank:
    """Two environments and a third where nothing is deployed, one service for all and one that is a secret."""

    def __init__(self, definition: str = DEPLOY, files: dict[str, str] | None = None) -> None:
        key = (Bank, definition, tuple(sorted((files or {}).items())))
        kept.begin(self, key, lambda: self._build(definition, files))

    def _build(self, definition: str, files: dict[str, str] | None) -> None:
        bundles.first_start(Path("examples/policies/starter"), by=TEST)
        self.people: dict[str, Acting] = {}
        self.teams = {slug: teams.create_team(slug=slug, name=slug.title(), by=TEST) for slug in TEAMS}
        for slug, members in TEAMS.items():
            for name in members:
                user = teams.create_person(username=name, name=name.title(), by=TEST, superuser=name == "sam")
                teams.join(self.teams[slug], user, by=TEST)
                self.people[name] = Acting(user, "session")
        for position, slug in enumerate(("test", "staging", "production")):
            catalogue.create_environment(
                slug=slug, name=slug.title(), tier=3 - position, position=position, by=TEST
            )
        self.service = catalogue.create_service(
            slug="web-bank", name="Web bank", tier=1, owner=self.teams["payments"], by=TEST
        )
        self.secret = catalogue.create_service(
            slug="vault", name="Vault", tier=1, owner=self.teams["security"], by=TEST
        )
        self.workflow = catalogue.install(load(definition, files), origin="test", by=TEST)
        self._grant()

    def _grant(self) -> None:
        for slug in ("payments", "security"):
            for one in (self.workflow, self.service, *Environment.objects.all()):
                for verb in ("request", "sign_off", "operate"):
                    permissions.grant(self.teams[slug], verb, one, by=TEST)
        permissions.grant(self.teams["security"], "sign_off", self.secret, by=TEST)
        permissions.grant(self.teams["payments"], "break_glass", self.environment("production"), by=TEST)

    def user(self, name: str) -> User:
        return self.people[name].user

    def environment(self, slug: str) -> Environment:
        return Environment.objects.get(slug=slug)

    def asked(self, who: str = "mara", **changed: Any) -> asking.Asked:
        given = {
            "workflow": "deploy",
            "service": "web-bank",
            "environment": "production",
            "inputs": {"version": "42"},
            "reason": "The new transfer page.",
            **changed,
        }
        return asking.ask(**given, by=self.people[who])

    def change(self, who: str = "mara", **changed: Any) -> Change:
        """Waiting for the service owner and for Security, in parallel."""
        return changes.request_change(self.asked(who, **changed))

    def say(self, change: Change, who: str, decision: str = "approve", **changed: Any) -> Any:
        """A decision at the stage that asks this person."""
        change = Change.objects.select_related("revision__chain").get(pk=change.pk)
        assert change.revision is not None
        chain = change.revision.chain
        name = "Security" if who in TEAMS["security"] else "Service owner"
        given = {
            "stage": chain.stages.get(name=name).pk,
            "digest": change.revision.digest,
            "chain_digest": chain.digest,
            "comment": "" if decision == "approve" else "Because.",
            "condition": "",
            **changed,
        }
        return changes.decide(change, decision=decision, by=self.people[who], **given)

    def approved(self, **changed: Any) -> Change:
        change = self.change(**changed)
        self.say(change, "jonas")
        self.say(change, "noor")
        return Change.objects.get(pk=change.pk)


def change_in(state: S, bank: Bank) -> Change:
    """A change that really walked there."""
    change = bank.approved() if state in AFTER_APPROVAL else bank.change()
    walk = WALKS.get(state)
    if walk is not None:
        walk(bank, change)
    change = Change.objects.get(pk=change.pk)
    assert change.state == state, f"{change.key} is {change.state}"
    return change


def _end(change: Change, state: str) -> None:
    held = holding(change.runs.get().steps.get())
    ended(held, state)


def _expire(change: Change) -> None:
    with transaction.atomic():
        expire(Change.objects.get(pk=change.pk))


WALKS: dict[S, Any] = {
    S.SENT_BACK: lambda bank, change: bank.say(change, "jonas", "send_back"),
    S.REJECTED: lambda bank, change: bank.say(change, "noor", "reject"),
    S.WITHDRAWN: lambda bank, change: changes.withdraw(change, by=bank.people["mara"]),
    S.EXPIRED: lambda _, change: _expire(change),
    S.RUNNING: lambda _, change: holding(change.runs.get().steps.get()),
    S.SUCCEEDED: lambda _, change: _end(change, "succeeded"),
    S.FAILED: lambda _, change: _end(change, "failed"),
    S.UNKNOWN: lambda _, change: _end(change, "unknown"),
    S.CANCELLED: lambda bank, change: changes.cancel(change, by=bank.people["mara"]),
}
AFTER_APPROVAL = {S.APPROVED, S.RUNNING, S.SUCCEEDED, S.FAILED, S.UNKNOWN, S.CANCELLED}
REACHED = (S.WAITING, S.APPROVED, *WALKS)  # the states that `change_in` knows a way to
__all__ = ["REACHED", "TEST", "Bank", "Service", "Workflow", "change_in"]
