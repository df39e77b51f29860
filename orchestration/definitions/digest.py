"""The document of a revision: everything that can alter what it does, as canonical bytes. Pure.

Its steps are what runs, to the letter. It must never hold the time of its making, or anything else that would make
equal content differ.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

from approvals.calendar.schedule import Schedule
from audit.canonical import canonical, parse
from audit.ledger.record import timestamp
from orchestration.actions import registry
from orchestration.definitions import repeats as times
from orchestration.definitions import turn
from orchestration.definitions.inputs import InputsInvalid
from orchestration.definitions.substitution import begins_with, resolved, substitute
from orchestration.models import Environment, Service, WorkflowVersion

DOMAIN = "countersign/change/v1"
SECONDS = {"s": 1, "m": 60, "h": 3600}
DEFAULT_TIMEOUT = "1h"
MAX_BYTES = 8_000_000
MAX_TITLE = 300


@dataclass(frozen=True)
class Emergency:
    """What makes a change an emergency: the incident that it answers to. The reason is the change's own."""

    incident: str


@dataclass(frozen=True, kw_only=True)
class Content:
    """What a revision is made of."""

    change_id: UUID | None  # None: only a preview
    number: int
    version: WorkflowVersion
    service: Service
    environment: Environment
    inputs: Mapping[str, Any]
    reason: str
    requesters: Collection[UUID]
    bundle_digest: str
    freezes: Collection[str] = ()
    not_before: datetime | None = None
    not_after: datetime | None = None
    emergency: Emergency | None = None
    repeats: Schedule | None = None

    @property
    def known(self) -> dict[str, Any]:
        """What a definition may refer to."""
        given = {f"inputs.{name}": value for name, value in self.inputs.items()}
        return {**given, "service": self.service.slug, "environment": self.environment.slug}


def document(content: Content) -> bytes:
    """The canonical bytes that are signed; InputsInvalid when a resolved step does not fit its action."""
    version, resolved = content.version, steps(content)
    data = canonical(
        {
            **turn.signed(version.document["spec"], content.known),
            "v": 1,
            "change": str(content.change_id or ""),
            "revision": content.number,
            "workflow": {"slug": version.workflow.slug, "version": version.number, "digest": version.digest},
            "service": _record(content.service),
            "environment": _record(content.environment),
            "inputs": dict(content.inputs),
            "reason": content.reason,
            "steps": resolved,
            "effects": sorted({step["effect"] for step in resolved}),
            "files": {name: digest_of_text(text) for name, text in version.files.items()},
            "secrets": [],
            "plan": [],
            "window": {
                "not_before": timestamp(content.not_before) if content.not_before else None,
                "not_after": timestamp(content.not_after) if content.not_after else None,
            },
            "repeats": times.told(content.repeats),
            "freezes": sorted(content.freezes),
            "emergency": {"incident": content.emergency.incident} if content.emergency else None,
            "policy": content.bundle_digest,
            "requesters": sorted(str(person) for person in content.requesters),
        }
    )
    if len(data) > MAX_BYTES:
        raise InputsInvalid(f"Nothing was sent: what would run is larger than {MAX_BYTES} bytes.")
    return data


def digest(data: bytes) -> str:
    """The name of a document's bytes, as governance demands: domain, zero byte, bytes."""
    return "sha256:" + sha256(DOMAIN.encode() + b"\0" + data).hexdigest()


def emergency_of(data: bytes) -> Emergency | None:
    """The emergency that a document names."""
    named = parse(data).get("emergency")
    return Emergency(named["incident"]) if named else None


def told(document: Mapping[str, Any]) -> dict[str, Any]:
    """What the bytes that will run say about what policy was asked, by path: the gate holds both together."""
    return {
        "input.change.revision": document["revision"],
        "input.change.inputs": document["inputs"],
        "input.change.reason": document["reason"],
        "input.change.emergency": document["emergency"] is not None,
        "input.change.repeats": times.fact(times.read(document)),
        "input.workflow.slug": document["workflow"]["slug"],
        "input.workflow.version": document["workflow"]["version"],
        "input.workflow.digest": document["workflow"]["digest"],
        "input.workflow.effects": document["effects"],
        "input.workflow.acts": acts(document["steps"]),
        "input.service.slug": document["service"]["slug"],
        "input.environment.slug": document["environment"]["slug"],
    }


def steps(content: Content) -> list[dict[str, Any]]:
    """Every step exactly as the supervisor will be handed it, in the definition's order."""
    given = content.version.document["spec"]["steps"]
    problems = list(_options(given, content.known))
    resolved = [_step(step, content) for step in given]
    problems += [
        {"pointer": f"/steps/{step['key']}", "detail": f"{step['key']}: {fault}."}
        for step in resolved
        for fault in registry.validate(step["uses"], step["with"])
    ]
    problems += [] if problems else [fault for step in resolved for fault in _faults(step, content)]
    if problems:
        raise InputsInvalid(f"Nothing was sent. {problems[0]['detail']}", errors=problems)
    return resolved


def acts(steps: Sequence[Mapping[str, Any]]) -> list[str]:
    """The governed acts that these steps perform, by name."""
    return sorted({step["with"]["act"] for step in steps if step["uses"] == "govern"})


def concerned(steps: Sequence[Mapping[str, Any]]) -> frozenset[UUID]:
    """Accounts that a step favours or whose work it carries out: they never agree to it."""
    known = [(registry.get(step["uses"]), step["with"]) for step in steps]
    return frozenset().union(*(action.concerns(with_) for action, with_ in known if action is not None))


def title(content: Content) -> str:
    """The change's title: the workflow's summary with its values."""
    summary = content.version.document["spec"]["summary"]
    return str(substitute(summary, {**content.inputs, **content.known}))[:MAX_TITLE]


def digest_of_text(text: str) -> str:
    return "sha256:" + sha256(text.encode()).hexdigest()


def _step(step: Mapping[str, Any], content: Content) -> dict[str, Any]:
    action = registry.get(step["uses"])
    with_ = resolved(step["with"], content.known)
    text = str(step.get("timeout", DEFAULT_TIMEOUT))
    return {
        "key": step["key"],
        "title": str(substitute(step.get("title", ""), content.known))[:200],
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


def _faults(step: Mapping[str, Any], content: Content) -> Iterator[dict[str, str]]:
    """What only the records can tell: that there is no such team, or that this is no place for such a step."""
    action = registry.get(step["uses"])
    if action is None:
        return
    if action.environments is not None and content.environment.slug not in action.environments:
        places = ", ".join(sorted(action.environments))
        yield {"pointer": "/environment", "detail": f"{step['uses']} is for {places} only."}
    for name, detail in action.faults(step["with"]).items():
        pointer = f"/inputs/{name}" if name in content.inputs else f"/steps/{step['key']}"
        yield {"pointer": pointer, "detail": detail}


def _record(row: Service | Environment) -> dict[str, Any]:
    return {"id": str(row.pk), "slug": row.slug, "version": row.version}


def _options(steps: Sequence[Mapping[str, Any]], known: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """An argument that begins with what a person typed must not become an option of the program."""
    for key, value in known.items():
        if str(value).startswith("-") and any(_could_be_option(step, key) for step in steps):
            detail = "This must not begin with a dash: the program would read it as an option."
            yield {"pointer": "/" + key.replace(".", "/"), "detail": detail}


def _could_be_option(step: Mapping[str, Any], key: str) -> bool:
    argv = step["with"].get("argv", [])
    free = argv[: argv.index("--")] if "--" in argv else argv
    return any(isinstance(text, str) and begins_with(text, key) for text in free)
