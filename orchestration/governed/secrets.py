"""Acts about secrets: to let one be used in more places, and to name one that another place keeps."""

from typing import Any, ClassVar

from accounts.models import Team
from audit.ledger.entry import Actor
from orchestration.governed.act import Act, Faults, Given, chosen
from orchestration.models import Secret
from orchestration.secrets import store

PATH = {
    "type": "string",
    "title": "Secret",
    "description": "Its path",
    "maxLength": 150,
    "examples": ["payments/db-password"],
}
SCOPE: dict[str, dict[str, Any]] = {
    "environments": {
        "type": "string",
        "title": "Environments",
        "description": "Names with spaces between them",
        "maxLength": 2000,
    },
    "services": {
        "type": "string",
        "title": "Services",
        "description": "Only these; empty: those of the owner",
        "maxLength": 2000,
        "default": "",
    },
    "workflows": {
        "type": "string",
        "title": "Workflows",
        "description": "Only these; empty: those of the owner",
        "maxLength": 2000,
        "default": "",
    },
}


def scope(given: Given) -> dict[str, list[str]]:
    """The names that were typed."""
    return {name: sorted(set(given[name].split())) for name in SCOPE}


class EditScope(Act):
    name = "secret.scope"
    title = "Change where a secret may be used"
    summary = "Let {{inputs.path}} be used in {{inputs.environments}}"
    description = (
        "Only what is said here holds from then on. A team takes places away from its secret by itself."
    )
    inputs: ClassVar = {"path": PATH, **SCOPE}

    def faults(self, given: Given) -> Faults:
        if not Secret.objects.filter(path=given["path"]).exists():
            return {"path": "There is no such secret."}
        return _told(store.faults_of_scope(scope(given)))

    def holds(self, given: Given) -> bool:
        secret = Secret.objects.filter(path=given["path"]).first()
        return secret is not None and store.scope_of(secret) == scope(given)

    def perform(self, given: Given, prepared: Any, *, by: Actor) -> None:
        store.edit_governed(Secret.objects.get(path=given["path"]), scope(given), by=by)


class Register(Act):
    name = "secret.register"
    title = "Name a secret that another place keeps"
    summary = "Name {{inputs.source}} of the {{inputs.provider}} as {{inputs.path}}"
    description = (
        "From then on workflows read it in the places that are named here. Whoever approves says that the team may:"
        " Countersign cannot know whose it is."
    )
    inputs: ClassVar = {
        "path": PATH,
        "provider": {"type": "string", "title": "Kept by", "enum": ["files", "vault"]},
        "source": {
            "type": "string",
            "title": "What it is called there",
            "maxLength": 300,
            "examples": ["payments/db#password"],
        },
        "team": chosen("Owner", "teams"),
        **SCOPE,
    }

    def faults(self, given: Given) -> Faults:
        found = _told(store.faults(**_about(given), scope=scope(given)))
        if Secret.objects.filter(path=given["path"]).exists() and not self.holds(given):
            found["path"] = "There is a secret of this path."
        if not Team.objects.filter(slug=given["team"]).exists():
            found["team"] = "There is no such team."
        return found

    def holds(self, given: Given) -> bool:
        secret = Secret.objects.filter(**_about(given), owner__slug=given["team"]).first()
        return secret is not None and store.scope_of(secret) == scope(given)

    def perform(self, given: Given, prepared: Any, *, by: Actor) -> None:
        owner = Team.objects.get(slug=given["team"])
        store.install(**_about(given), owner=owner, scope=scope(given), by=by)


def _about(given: Given) -> dict[str, str]:
    return {name: given[name] for name in ("path", "provider", "source")}


def _told(problems: list[dict[str, str]]) -> Faults:
    """The first fault of each argument."""
    return {one["pointer"].removeprefix("/"): one["detail"] for one in reversed(problems)}
