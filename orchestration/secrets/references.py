"""References to secrets: resolved to a version when a change is asked for, held to it when its step starts.

Deny by default: a secret is for the environments, services and workflows that it names. It must never read a value,
and never put a newer version in the place of the one that was signed off.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.conf import settings

from audit.ledger.entry import Actor
from audit.ledger.record import record
from audit.refusals import Invalid, Refusal
from orchestration.models import Change, Environment, Secret, SecretVersion, Service, Workflow
from orchestration.models.secret import LATEST
from orchestration.secrets import envelope
from orchestration.secrets.envelope import Sealed

Signed = Mapping[str, str]  # {"step", "name", "path", "provider", "source", "version", "digest"}


class SecretNotAllowed(Refusal):
    """A secret may no longer be used for this workflow, service and environment."""

    code = "secret_not_allowed"


class SecretGone(Refusal):
    """The version of a secret that was signed off is no longer there."""

    code = "secret_gone"


class SecretAltered(Refusal):
    """A secret is not what was signed off: other bytes stand under the same version, or it lies elsewhere."""

    code = "secret_altered"


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
        version, digest = (LATEST, "") if latest else _current(secret)
        told = {"path": path, "provider": str(secret.provider), "source": secret.source}
        found.append({"step": step, "name": name, **told, "version": version, "digest": digest})
    if problems:
        raise Invalid(f"Nothing was sent. {problems[0]['detail']}", errors=problems)
    return found


def hand_over(
    signed: Sequence[Signed], change: Change, *, run: str, attempt: int, by: Actor
) -> list[dict[str, Any]]:
    """What the opener of a step is given: exactly the versions that were signed off. In the claim's transaction."""
    handed, told = [], []
    for one in signed:
        secret = Secret.objects.filter(path=one["path"]).first()
        if secret is None or not secret.is_for(change.workflow, change.service, change.environment):
            raise SecretNotAllowed(
                f"{one['path']} may no longer be used for {change.service.slug} in {change.environment.slug}, so"
                f" {one['step']} was not started. Its owner can allow it again."
            )
        if (secret.provider, secret.source) != (one["provider"], one["source"]):
            raise SecretAltered(
                f"{one['path']} lies elsewhere than was signed off; {one['step']} was not started."
            )
        version, given = _sealed(secret, one)
        handed.append({"name": one["name"], "path": one["path"], "provider": one["provider"], **given})
        told.append({**{key: one[key] for key in ("name", "path", "provider")}, "version": version,
                     "latest": one["version"] == LATEST})  # fmt: skip
    if told:
        record(
            "secret.handed_over", of=None, subject=run, actor=by,
            run=run, step=signed[0]["step"], attempt=attempt, secrets=told,
        )  # fmt: skip
    return handed


def _named(steps: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str, str, bool]]:
    """(step, name, path, whether the newest is meant)"""
    for step in steps:
        for name, said in step.get("secrets", {}).items():
            path = said if isinstance(said, str) else said["path"]
            yield step["key"], name, path, not isinstance(said, str)


def _current(secret: Secret) -> tuple[str, str]:
    """The newest version, and the digest of its sealed bytes."""
    newest = secret.standing.first()
    if newest is None:
        detail = f"{secret.path} has no value yet; {secret.owner.name} can write one."
        raise Invalid(f"Nothing was sent. {detail}", errors=[{"pointer": "/workflow", "detail": detail}])
    return str(newest.number), sealed_of(newest).digest


def _sealed(secret: Secret, one: Signed) -> tuple[str, dict[str, Any]]:
    """The version that a step gets, and its sealed bytes."""
    standing = secret.standing
    if one["version"] != LATEST:
        standing = standing.filter(number=int(one["version"]))
    version = standing.first()
    if version is None:
        raise SecretGone(
            f"Version {one['version']} of {secret.path}, which was signed off, is no longer there, so {one['step']}"
            " was not started. Edit the change to have the newest one signed off."
        )
    sealed = sealed_of(version)
    if one["version"] != LATEST and sealed.digest != one["digest"]:
        raise SecretAltered(
            f"Version {one['version']} of {secret.path} is not what was signed off; {one['step']} was not started."
        )
    bound = bound_to(version)
    return str(version.number), envelope.carried(sealed, folder=settings.KEY_DIR, bound_to=bound)


def sealed_of(version: SecretVersion) -> Sealed:
    return Sealed(
        version.key_id, *(bytes(one) for one in (version.wrapped, version.nonce, version.ciphertext))
    )


def bound_to(version: SecretVersion) -> str:
    """What a value is sealed for: in another row it cannot be opened."""
    return f"{version.secret_id}:{version.number}"
