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
from orchestration.definitions import beside, checks, flow, limits, phases, turn
from orchestration.definitions import repeats as times
from orchestration.definitions.inputs import InputsInvalid
from orchestration.definitions.substitution import begins_with, resolved, substitute
from orchestration.definitions.undo import Undo, rolled_back
from orchestration.models import Environment, Service, WorkflowVersion

DOMAIN = "countersign/change/v1"
PLAN_DOMAIN = "countersign/plan/v1"  # of its own: a plan's digest can never be what a chain is about
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
    secrets: Sequence[Mapping[str, str]] = ()  # each with the version that the step gets
    plan: Sequence[Mapping[str, Any]] = ()  # what plan steps found, by digest
    undo: Undo | None = None

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
            **_sometimes(content),
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
            "files": _named_files(content),
            "secrets": list(content.secrets),
            "plan": [dict(one) for one in content.plan],
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


def _sometimes(content: Content) -> dict[str, Any]:
    """What only some documents say: how long a run may take, whose turn it is, and which change this one rolls back."""
    if content.undo is not None:
        return {"rolls_back": content.undo.told, **turn.kept(content.undo.document)}
    spec = content.version.document["spec"]
    timeout = {"timeout_seconds": _seconds(str(spec["timeout"]))} if spec.get("timeout") else {}
    return {**timeout, **turn.signed(spec, content.known)}


def _named_files(content: Content) -> dict[str, str]:
    if content.undo is not None:
        return dict(content.undo.document["files"])
    return {name: digest_of_text(text) for name, text in content.version.files.items()}


def digest(data: bytes) -> str:
    """The name of a document's bytes, as governance demands: domain, zero byte, bytes."""
    return "sha256:" + sha256(DOMAIN.encode() + b"\0" + data).hexdigest()


def plan_digest(data: bytes) -> str:
    """The name of the bytes that a plan run executes."""
    return "sha256:" + sha256(PLAN_DOMAIN.encode() + b"\0" + data).hexdigest()


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
        "input.change.plan": phases.fact(document.get("plan", [])),
        "input.change.rolls_back": rolled_back(document),
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
    resolved, problems = _resolved(content)
    done = [(key, work) for step in resolved for key, work in works(step)]
    problems += [
        {"pointer": f"/steps/{key}", "detail": f"{key}: {fault}."}
        for key, work in done
        for fault in registry.validate(work["uses"], work["with"])
    ]
    problems += [] if problems else [fault for key, work in done for fault in _faults(key, work, content)]
    if problems:
        raise InputsInvalid(f"Nothing was sent. {problems[0]['detail']}", errors=problems)
    return resolved


def _resolved(content: Content) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """The steps with every value in its place, and what is wrong with those values."""
    if content.undo is not None:  # signed once already, values and all
        return content.undo.steps, []
    given = content.version.document["spec"]["steps"]
    problems = _options([work for step in given for _, work in works(step)], content.known)
    return [_step(step, content) for step in flow.expanded(given)], list(problems)


def works(step: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """What a step does, and what undoes it, each by the step's key."""
    return [(step["key"], step), *([(step["key"], step["rollback"])] if "rollback" in step else [])]


def acts(steps: Sequence[Mapping[str, Any]]) -> list[str]:
    """The governed acts that these steps perform, by name."""
    return sorted({step["with"]["act"] for step in steps if step["uses"] == "govern"})


def concerned(steps: Sequence[Mapping[str, Any]]) -> frozenset[UUID]:
    """Accounts that a step favours or whose work it carries out: they never agree to it."""
    known = [(registry.get(step["uses"]), step["with"]) for step in steps]
    return frozenset().union(*(action.concerns(with_) for action, with_ in known if action is not None))


def title(content: Content) -> str:
    """The change's title: the workflow's summary with its values."""
    if content.undo is not None:
        return f"Roll back {content.undo.change}: {content.undo.title}"[:MAX_TITLE]
    summary = content.version.document["spec"]["summary"]
    return str(substitute(summary, {**content.inputs, **content.known}))[:MAX_TITLE]


def digest_of_text(text: str) -> str:
    return "sha256:" + sha256(text.encode()).hexdigest()


def _step(step: Mapping[str, Any], content: Content) -> dict[str, Any]:
    known = {**content.known, **flow.values(step)}
    undo = {"rollback": _work(step["rollback"], content, known)} if "rollback" in step else {}
    head = {"key": step["key"], "needs": list(step.get("needs", []))}
    return {**head, **_work(step, content, known), **flow.signed(step), **undo}


def _work(work: Mapping[str, Any], content: Content, known: Mapping[str, Any]) -> dict[str, Any]:
    """What is done, as the supervisor will be handed it: by a step, or by what undoes it."""
    action = registry.get(work["uses"])
    with_ = resolved(work["with"], known)
    timeout = work.get("timeout", action.timeout if action else DEFAULT_TIMEOUT)
    return {
        "title": str(substitute(work.get("title", ""), known))[:200],
        "uses": work["uses"],
        "with": with_,
        "effect": phases.effect(work, action.effect_of(with_) if action else "at_most_once"),
        "timeout_seconds": _seconds(str(timeout)),
        "retries": work.get("retries", 0),
        "retry_exit_codes": list(work.get("retry_exit_codes", [])),
        "files": _files(work, with_, content.version.files),
        **_secrets(work, content.known),
        **checks.signed(work, known),
        **limits.signed(content.version.document["spec"], work),
    }


def _seconds(text: str) -> int:
    return int(text[:-1]) * SECONDS[text[-1]]


def _secrets(work: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """Which secrets it names; a definition may tell a path by the service and the environment."""
    named = substitute(work.get("secrets", {}), known)
    return {"secrets": named} if named else {}


def _files(step: Mapping[str, Any], with_: Any, files: Mapping[str, str]) -> dict[str, str]:
    """The scripts this step names as ./script, those it lists, and what its action reads."""
    named = {item[2:] for item in with_.get("argv", ()) if isinstance(item, str) and item.startswith("./")}
    named |= {name for place in _read(step, with_) for name in beside.found(place, files)}
    named |= checks.programs(step) | set(step.get("files", ()))
    return {name: files[name] for name in sorted(named) if name in files}


def _read(work: Mapping[str, Any], with_: Any) -> tuple[str, ...]:
    action = registry.get(work["uses"])
    return action.reads(with_) if action and not registry.validate(work["uses"], with_) else ()


def _faults(key: str, work: Mapping[str, Any], content: Content) -> Iterator[dict[str, str]]:
    """What only the records can tell: that there is no such team, or that this is no place for such a step."""
    action = registry.get(work["uses"])
    if action is None:
        return
    if action.environments is not None and content.environment.slug not in action.environments:
        places = ", ".join(sorted(action.environments))
        yield {"pointer": "/environment", "detail": f"{work['uses']} is for {places} only."}
    for place in beside.missing(action.reads(work["with"]), content.version.files):
        yield {"pointer": f"/steps/{key}", "detail": f"there is no {place} beside the workflow."}
    for detail in limits.beyond(work.get("limits", {})):
        yield {"pointer": f"/steps/{key}", "detail": f"{key}: {detail}."}
    for name, detail in action.faults(work["with"]).items():
        pointer = f"/inputs/{name}" if name in content.inputs else f"/steps/{key}"
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
    programs = (step["with"].get("argv", []), step.get("check", {}).get("argv", []))
    free = [argv[: argv.index("--")] if "--" in argv else argv for argv in programs]
    return any(isinstance(text, str) and begins_with(text, key) for argv in free for text in argv)
