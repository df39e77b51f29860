"""References to secrets: resolved to a version when a change is asked for, held to it when its step starts.

Deny by default: a secret is for the environments, services and workflows that it names. It must never read a value,
and never put a newer version in the place of the one that was signed off.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from audit.canonical import Json
from audit.ledger.entry import Actor
from audit.ledger.record import record
from audit.refusals import Invalid, Refusal
from orchestration.models import Change, Environment, Secret, Service, Workflow
from orchestration.models.secret import LATEST
from orchestration.secrets import providers
from orchestration.secrets.provider import Gone, Unreachable
from orchestration.secrets.providers import Version

Signed = Mapping[str, str]  # {"step", "name", "path", "provider", "source", "version", "digest"}
Newest = Mapping[str, Version]


class SecretNotAllowed(Refusal):
    """A secret may no longer be used for this workflow, service and environment."""

    code = "secret_not_allowed"


class SecretGone(Refusal):
    """The version of a secret that was signed off is no longer there."""

    code = "secret_gone"


class SecretAltered(Refusal):
    """A secret lies elsewhere than was signed off."""

    code = "secret_altered"


class SecretsUnreachable(Refusal):
    """The place that keeps a secret does not answer now."""

    code = "secrets_unreachable"
    waits = True  # nobody has to do anything here: a step asks again by itself


def resolve(
    steps: Sequence[Mapping[str, Any]], workflow: Workflow, service: Service, environment: Environment
) -> list[Signed]:
    """Each secret of each step with its version now; Invalid names every one that may not be used here."""
    named = list(_named(steps))
    known = {one.path: one for one in Secret.objects.filter(path__in=[path for _, _, path, _ in named])}
    problems: list[dict[str, str]] = []
    found: list[Signed] = []
    for step, name, path, latest in named:
        secret = known.get(path)
        if secret is None or not secret.is_for(workflow, service, environment):
            detail = (
                f"There is no secret {path} that {workflow.slug} may use for {service.slug} in {environment.slug}."
                " The team that owns it can store it, or ask for secret-scope."
            )
            problems.append({"pointer": f"/steps/{step}", "detail": detail})
            continue
        try:
            version = Version(LATEST) if latest else _current(secret)
        except Gone as gone:
            problems.append({"pointer": f"/steps/{step}", "detail": f"{path}: {gone}."})
            continue
        told = {"path": path, "provider": str(secret.provider), "source": secret.source}
        found.append({"step": step, "name": name, **told, "version": version.name, "digest": version.digest})
    if problems:
        raise Invalid(f"Nothing was sent. {problems[0]['detail']}", errors=problems)
    return found


def look_up(signed: Sequence[Signed]) -> Newest:
    """What is newest now of those that are to be the newest; another place may take its time, so no lock is held."""
    wanted = {one["path"] for one in signed if one["version"] == LATEST and one["provider"] != "store"}
    return {one.path: _current(one) for one in Secret.objects.filter(path__in=wanted)}


def hand_over(
    signed: Sequence[Signed], newest: Newest, change: Change, *, run: str, attempt: int, by: Actor
) -> list[dict[str, Any]]:
    """What the opener of a step is given: exactly the versions that were signed off. In the claim's transaction."""
    handed: list[dict[str, Any]] = []
    told: list[dict[str, Json]] = []
    for one in signed:
        secret = _still(one, change)
        version = Version(one["version"], one["digest"])
        try:
            if one["version"] == LATEST:
                version = newest[secret.path] if secret.path in newest else _current(secret)
            given = providers.of(secret).given(secret, version)
        except Gone as gone:
            raise SecretGone(
                f"{one['path']}: {gone}, so {one['step']} was not started. Edit {change.key} to have the newest"
                " version signed off."
            ) from None
        handed.append({"name": one["name"], "path": one["path"], "provider": one["provider"], **given})
        kept = {key: one[key] for key in ("name", "path", "provider")}
        told.append({**kept, "version": version.name, "latest": one["version"] == LATEST})
    if told:
        record(
            "secret.handed_over", of=None, subject=run, actor=by,
            run=run, step=signed[0]["step"], attempt=attempt, secrets=told,
        )  # fmt: skip
    return handed


def lend(
    secret: Secret, *, workflow: Workflow, service: Service, environment: Environment
) -> tuple[Version, dict[str, Any]]:
    """For what is no step and goes on for long: the newest version, and what an opener is given of it."""
    if not secret.is_for(workflow, service, environment):
        raise SecretNotAllowed(
            f"{secret.path} may not be used by {workflow.slug} in {environment.slug}. Its owner can ask for"
            " secret-scope."
        )
    version = _current(secret)
    try:
        given = providers.of(secret).given(secret, version)
    except Gone as gone:
        raise SecretGone(f"{secret.path}: {gone}.") from None
    return version, {"path": secret.path, "provider": str(secret.provider), **given}


def _still(one: Signed, change: Change) -> Secret:
    """The secret, if it may still be used here and lies where it lay when it was signed off."""
    secret = Secret.objects.select_related("owner").filter(path=one["path"]).first()
    if secret is None or not secret.is_for(change.workflow, change.service, change.environment):
        raise SecretNotAllowed(
            f"{one['path']} may no longer be used for {change.service.slug} in {change.environment.slug}, so"
            f" {one['step']} was not started. Its owner can allow it again."
        )
    if (secret.provider, secret.source) != (one["provider"], one["source"]):
        raise SecretAltered(
            f"{one['path']} lies elsewhere than was signed off; {one['step']} was not started."
        )
    return secret


def _current(secret: Secret) -> Version:
    """The newest version; SecretsUnreachable when its place does not answer."""
    try:
        return providers.of(secret).current(secret)
    except Unreachable as problem:
        raise SecretsUnreachable(f"{secret.path}: {problem}; nothing was done. Try again later.") from None


def _named(steps: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str, str, bool]]:
    """(step, name, path, whether the newest is meant)"""
    for step in steps:
        for name, said in step.get("secrets", {}).items():
            path = said if isinstance(said, str) else said["path"]
            yield step["key"], name, path, not isinstance(said, str)
