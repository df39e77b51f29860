"""Acts about people: who is in a team, what a team may do, who is an admin."""

from typing import Any, ClassVar
from uuid import UUID

from django.apps import apps
from django.db import models

from accounts import ceiling, permissions, teams, tokens
from accounts.models import Membership, Team, User
from audit.ledger.entry import Actor
from orchestration.governed.act import Act, Faults, Given, chosen

TEAM = chosen("Team", "teams")
ACCOUNT = chosen("Account", "accounts")
KINDS = ("workflow", "service", "environment")


class StartMembership(Act):
    name = "membership.start"
    title = "Take somebody into a team"
    summary = "Take {{inputs.account}} into {{inputs.team}}"
    description = (
        "Whoever is in a team may sign off what the team is asked for. The person never agrees to it."
    )
    inputs: ClassVar = {"team": TEAM, "account": ACCOUNT}

    def faults(self, given: Given) -> Faults:
        return {**_no_team(given), **_no_account(given)}

    def concerns(self, given: Given) -> frozenset[UUID]:
        return frozenset(User.objects.filter(username=given["account"]).values_list("pk", flat=True))

    def holds(self, given: Given) -> bool:
        return _open(given).exists()

    def perform(self, given: Given, prepared: Any, *, by: Actor) -> None:
        teams.join(_team(given), User.objects.get(username=given["account"]), by=by)


class EndMembership(Act):
    name = "membership.end"
    title = "Take somebody out of a team"
    summary = "Take {{inputs.account}} out of {{inputs.team}}"
    description = "What they signed off for the team counts no more, unless it has started."
    inputs: ClassVar = {"team": TEAM, "account": ACCOUNT}

    def faults(self, given: Given) -> Faults:
        missing = {**_no_team(given), **_no_account(given)}
        return missing if missing or _open(given).exists() else {"account": "Is not in this team."}

    def holds(self, given: Given) -> bool:
        return not _open(given).exists()

    def perform(self, given: Given, prepared: Any, *, by: Actor) -> None:
        teams.leave(_team(given), User.objects.get(username=given["account"]), by=by)


class Grant(Act):
    name = "permission.grant"
    title = "Let a team do something"
    summary = "Let {{inputs.team}} {{inputs.verb}} the {{inputs.kind}} {{inputs.record}}"
    description = "A grant decides what the people of a team may see, request, sign off and operate."
    inputs: ClassVar = {
        "team": TEAM,
        "verb": {"type": "string", "title": "May", "enum": list(permissions.VERBS)},
        "kind": {"type": "string", "title": "Kind of record", "enum": list(KINDS)},
        "record": {
            "type": "string",
            "title": "Its name",
            "pattern": "^[a-z0-9][a-z0-9_-]*$",
            "maxLength": 50,
        },
    }

    def faults(self, given: Given) -> Faults:
        unknown = {} if _record(given) else {"record": f"There is no {given['kind']} of this name."}
        return {**_no_team(given), **unknown}

    def holds(self, given: Given) -> bool:
        row = _record(given)
        may = permissions.teams_that_may(given["verb"], row) if row else Team.objects.none()
        return may.filter(slug=given["team"]).exists()

    def perform(self, given: Given, prepared: Any, *, by: Actor) -> None:
        row = _record(given)
        if row is not None:
            permissions.grant(_team(given), given["verb"], row, by=by)


class Revoke(Grant):
    name = "permission.revoke"
    title = "Take a grant back from a team"
    summary = "No longer let {{inputs.team}} {{inputs.verb}} the {{inputs.kind}} {{inputs.record}}"
    description = "What was signed off stays; from then on the team may no longer do this."

    def holds(self, given: Given) -> bool:
        return not super().holds(given)

    def perform(self, given: Given, prepared: Any, *, by: Actor) -> None:
        row = _record(given)
        if row is not None:
            permissions.revoke(_team(given), given["verb"], row, by=by)


class MakeAdmin(Act):
    name = "account.admin"
    title = "Make somebody an admin"
    summary = "Make {{inputs.account}} an admin"
    description = (
        "An admin sees everything and keeps the records; an admin signs nothing off without a grant."
    )
    inputs: ClassVar = {"account": ACCOUNT}

    def faults(self, given: Given) -> Faults:
        machine = User.objects.filter(username=given["account"], kind=User.Kind.SERVICE).exists()
        return {"account": "An admin is a person, and this is a machine."} if machine else _no_account(given)

    def concerns(self, given: Given) -> frozenset[UUID]:
        return frozenset(User.objects.filter(username=given["account"]).values_list("pk", flat=True))

    def holds(self, given: Given) -> bool:
        return User.objects.filter(username=given["account"], is_superuser=True).exists()

    def perform(self, given: Given, prepared: Any, *, by: Actor) -> None:
        teams.promote(User.objects.get(username=given["account"]), by=by)


class WidenScopes(Act):
    name = "account.scopes"
    title = "Let the tokens of a machine do more"
    summary = "Let tokens of {{inputs.account}} have {{inputs.scopes}} too"
    description = "The scopes are open to whoever holds its tokens. Whoever answers for it never agrees."
    inputs: ClassVar = {
        "account": chosen("Service account", "machines"),
        "scopes": {
            "type": "string",
            "title": "Scopes",
            "description": f"With spaces between them, of: {', '.join(tokens.SCOPES)}",
            "maxLength": 200,
            "examples": ["changes:write runs:write"],
        },
    }

    def faults(self, given: Given) -> Faults:
        if not _machines(given).filter(is_active=True).exists():
            return {"account": "There is no such active service account."}
        unknown = sorted(_scopes(given) - set(tokens.SCOPES))
        if unknown:
            return {"scopes": f"There is no scope {', '.join(unknown)}."}
        return {} if _scopes(given) else {"scopes": "Name at least one scope."}

    def concerns(self, given: Given) -> frozenset[UUID]:
        """The machine, and each account of whoever answers for it."""
        persons = _machines(given).values("person")
        return frozenset(User.objects.filter(person__in=persons).values_list("pk", flat=True))

    def holds(self, given: Given) -> bool:
        machine = _machines(given).first()
        return machine is not None and _scopes(given) <= set(machine.ceiling)

    def perform(self, given: Given, prepared: Any, *, by: Actor) -> None:
        ceiling.widen(_machines(given).get(), _scopes(given), by=by)


def _machines(given: Given) -> models.QuerySet[User]:
    return User.objects.filter(username=given["account"], kind=User.Kind.SERVICE)


def _scopes(given: Given) -> set[str]:
    return set(given["scopes"].split())


def _team(given: Given) -> Team:
    return Team.objects.select_related("group").get(slug=given["team"])


def _open(given: Given) -> models.QuerySet[Membership]:
    return Membership.objects.open().filter(team__slug=given["team"], user__username=given["account"])


def _record(given: Given) -> models.Model | None:
    model = apps.get_model("orchestration", given["kind"])
    found: models.Model | None = model._default_manager.filter(slug=given["record"]).first()
    return found


def _no_team(given: Given) -> Faults:
    return {} if Team.objects.filter(slug=given["team"]).exists() else {"team": "There is no such team."}


def _no_account(given: Given) -> Faults:
    found = User.objects.filter(username=given["account"], is_active=True).exists()
    return {} if found else {"account": "There is no such active account."}
