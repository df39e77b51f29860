"""The document of a revision: everything that can alter what it does, as canonical bytes. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

from audit.canonical import canonical
from audit.ledger.record import timestamp
from audit.refusals import Invalid
from orchestration import actions
from orchestration.definitions.substitution import substitute
from orchestration.definitions.workflow import document as definition_of
from orchestration.models import Environment, Service, WorkflowVersion

DOMAIN = "countersign/change/v1"
SECONDS = {"s": 1, "m": 60, "h": 3600}
DEFAULT_TIMEOUT = "1h"


@dataclass(frozen=True)
class Content:
    """What a revision is made of."""

    change_id: UUID
    number: int
    version: WorkflowVersion
    service: Service
    environment: Environment
    inputs: Mapping[str, Any]
    requesters: Collection[UUID]
    bundle_digest: str
    not_before: datetime | None = None
    not_after: datetime | None = None

    @property
    def known(self) -> dict[str, Any]:
        """What a definition may refer to."""
        given = {f"inputs.{name}": value for name, value in self.inputs.items()}
        return {**given, "service": self.service.slug, "environment": self.environment.slug}


def document(content: Content) -> bytes:
    """The canonical bytes that are signed; Invalid when a resolved step does not fit its action."""
    version = content.version
    return canonical(
        {
            "v": 1,
            "change": str(content.change_id),
            "revision": content.number,
            "workflow": {"slug": version.workflow.slug, "version": version.number, "digest": version.digest},
            "service": _record(content.service),
            "environment": _record(content.environment),
            "inputs": dict(content.inputs),
            "steps": steps(content),
            "files": {name: digest_of_text(text) for name, text in version.files.items()},
            "secrets": [],
            "plan": [],
            "window": {
                "not_before": timestamp(content.not_before) if content.not_before else None,
                "not_after": timestamp(content.not_after) if content.not_after else None,
            },
            "policy": content.bundle_digest,
            "requesters": sorted(str(person) for person in content.requesters),
        }
    )


def digest(data: bytes) -> str:
    """The name of a document's bytes, as governance demands: domain, zero byte, bytes."""
    return "sha256:" + sha256(DOMAIN.encode() + b"\0" + data).hexdigest()


def steps(content: Content) -> list[dict[str, Any]]:
    """Every step exactly as the supervisor will be handed it, in the definition's order."""
    given = definition_of(content.version)["spec"]["steps"]
    resolved = [_step(key, step, content) for key, step in given.items()]
    problems = [
        {"pointer": f"/steps/{step['key']}", "detail": fault}
        for step in resolved
        for fault in actions.validate(step["uses"], step["with"])
    ]
    if problems:
        raise Invalid(
            f"These inputs do not fit step {problems[0]['pointer'][7:]}: nothing was sent.", errors=problems
        )
    return resolved


def title(content: Content) -> str:
    """The change's title: the workflow's summary with its values."""
    return str(substitute(definition_of(content.version)["spec"]["summary"], content.known))[:300]


def digest_of_text(text: str) -> str:
    return "sha256:" + sha256(text.encode()).hexdigest()


def _step(key: str, step: Mapping[str, Any], content: Content) -> dict[str, Any]:
    action = actions.get(step["uses"])
    with_ = substitute(step["with"], content.known)
    text = str(step.get("timeout", DEFAULT_TIMEOUT))
    return {
        "key": key,
        "title": step.get("title", ""),
        "needs": list(step.get("needs", [])),
        "uses": step["uses"],
        "with": with_,
        "effect": step.get("effect") or (action.effect if action else "at_most_once"),
        "timeout_seconds": int(text[:-1]) * SECONDS[text[-1]],
        "retries": step.get("retries", 0),
        "retry_exit_codes": list(step.get("retry_exit_codes", [])),
        "files": _files(step, with_, content.version.files),
    }


def _files(step: Mapping[str, Any], with_: Any, files: Mapping[str, str]) -> dict[str, str]:
    """The scripts this step names as ./script, and those it lists."""
    named = {item[2:] for item in with_.get("argv", ()) if isinstance(item, str) and item.startswith("./")}
    return {name: files[name] for name in sorted(named | set(step.get("files", ()))) if name in files}


def _record(row: Service | Environment) -> dict[str, Any]:
    return {"id": str(row.pk), "slug": row.slug, "version": row.version}
