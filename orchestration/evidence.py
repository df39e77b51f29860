"""What others tell about changes: evidence that was attached, and what observers saw running. Only written down.

The log keeps the digest of a piece of evidence and where it lies: outside, or here, where it was given as a file. It
must never fetch or judge what lies there.
"""

import hashlib
import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import URLValidator
from django.db import transaction

from accounts import permissions
from accounts.acting import Acting
from audit.canonical import parse
from audit.controls.catalogue import control
from audit.ledger.record import record
from audit.models import Entry
from audit.refusals import Invalid, NotAllowed, NotFound
from orchestration import lifecycle
from orchestration.definitions import artifacts
from orchestration.definitions.digest import emergency_of
from orchestration.engine.rows import lock_change
from orchestration.models import CONTROL_ROOM, Change, Environment, EvidenceFile, Service

KINDS = ("impact", "test_result", "security_check", "rollback_plan", "other")
TITLES = {
    "impact": "impact assessment",
    "test_result": "test result",
    "security_check": "security check",
    "rollback_plan": "rollback plan",
    "other": "something else",
}
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
MAX_BYTES = 900_000  # of a file that lies here; what is larger lies elsewhere and is named
MAX_ADDRESS = 500
MAX_ARTIFACTS = 100  # of one observation


@dataclass(frozen=True)
class Attached:
    """One piece of evidence, as its entry tells it."""

    entry: Entry
    kind: str
    digest: str
    address: str
    of: str  # the digest of the content that it belongs to

    @property
    def title(self) -> str:
        return TITLES[self.kind]

    @property
    def actor(self) -> str:
        return self.entry.actor

    @property
    def at(self) -> datetime:
        return self.entry.occurred_at


def required_in(environment: Environment) -> list[str]:
    """The kinds of evidence that a change there needs before anybody approves it, as CT-10 asks for them."""
    if environment.slug == CONTROL_ROOM:
        return []
    return list(control("CT-10").evidence.get(environment.tier, ()))


def required(change: Change) -> list[str]:
    """The same of one change: none of an emergency, which is reviewed afterwards."""
    revision = change.revision
    urgent = revision is not None and emergency_of(bytes(revision.document)) is not None
    return [] if urgent else required_in(change.environment)


def attached(change: Change) -> list[Attached]:
    """All that was attached to it, whatever its content was then; the oldest first."""
    found = Entry.objects.filter(subject=change.key, kind="evidence.attached").select_related("leaf")
    return [_attached(one, parse(bytes(one.body))["data"]) for one in found.order_by("id")]


def missing(change: Change, among: list[Attached]) -> list[str]:
    """Of what it needs, the kinds that nobody has attached to what is asked for now."""
    now = change.revision.digest if change.revision else ""
    have = {one.kind for one in among if one.of == now}
    return [kind for kind in required(change) if kind not in have]


def _attached(entry: Entry, data: dict[str, Any]) -> Attached:
    return Attached(
        entry, data["evidence_kind"], data["evidence_digest"], data.get("address", ""), data["digest"]
    )


def attach(change: Change, *, evidence_kind: str, digest: str, address: str, by: Acting) -> Entry:
    """Say that this belongs to what is asked for now; to a later revision it has to be attached anew."""
    _check(evidence_kind, digest, address)
    return _attach(change, evidence_kind, digest, address, by)


def attach_file(change: Change, *, evidence_kind: str, name: str, data: bytes, by: Acting) -> Entry:
    """The same of a file, which is kept here under its digest."""
    if not 0 < len(data) <= MAX_BYTES:
        size = f"A file has 1 to {MAX_BYTES // 1000} kB: keep a larger one elsewhere and give its address and digest."
        raise Invalid(f"Nothing was attached. {size}", errors=[{"pointer": "/file", "detail": size}])
    hexed = hashlib.sha256(data).hexdigest()
    address = f"/changes/{change.key}/evidence/{hexed}/"
    _check_kind(evidence_kind)
    name = "".join(char for char in name if char.isprintable() and char not in '/\\"')[-200:]
    with transaction.atomic():
        entry = _attach(change, evidence_kind, f"sha256:{hexed}", address, by)
        EvidenceFile.objects.get_or_create(
            change=change, digest=f"sha256:{hexed}", defaults={"name": name or "evidence", "data": data}
        )
    return entry


def remove_file(change: Change, digest: str, *, by: Acting) -> None:
    """Take the bytes away for good; that they were given, by whom and their digest stay in the log."""
    with transaction.atomic():
        change = lock_change(change.pk)
        gave = {one.actor for one in attached(change) if one.digest == digest}
        if str(by.user.pk) not in gave and not by.user.is_superuser:
            raise NotAllowed("Only whoever gave this file, or an admin, can remove it. Nothing was removed.")
        if not EvidenceFile.objects.filter(change=change, digest=digest).delete()[0]:
            raise NotFound("There is no such file; nothing was removed.")
        record(
            "evidence.removed", of=None, subject=change.key, actor=by.actor, change=change.key,
            evidence_digest=digest,
        )  # fmt: skip
        lifecycle.tell(change)


def _attach(change: Change, evidence_kind: str, digest: str, address: str, by: Acting) -> Entry:
    with transaction.atomic():
        change = lock_change(change.pk)
        if change.revision is None:
            raise NotFound(
                f"{change.key} is being planned, so there is nothing yet that this could belong to."
            )
        made = record(
            "evidence.attached", of=None, subject=change.key, actor=by.actor, change=change.key,
            revision=change.revision.number, digest=change.revision.digest, evidence_kind=evidence_kind,
            evidence_digest=digest, address=address,
        )  # fmt: skip
        lifecycle.tell(change)
    return made


def _check(evidence_kind: str, digest: str, address: str) -> None:
    """It can be found again, and told from anything else."""
    _check_kind(evidence_kind)
    wrong = []
    if not DIGEST.fullmatch(digest):
        wrong.append({"pointer": "/digest", "detail": "The digest is sha256: and 64 hex digits."})
    try:
        URLValidator()(address if len(address) <= MAX_ADDRESS else "")
    except ValidationError:
        wrong.append(
            {"pointer": "/address", "detail": f"The address is a URL of at most {MAX_ADDRESS} characters."}
        )
    if wrong:
        raise Invalid(f"Nothing was attached. {wrong[0]['detail']}", errors=wrong)


def _check_kind(evidence_kind: str) -> None:
    if evidence_kind not in KINDS:
        raise Invalid(
            "Nothing was attached. Choose what it is.", errors=[{"pointer": "/kind", "detail": "Choose one."}]
        )


def observe(*, service: str, environment: str, running: Collection[str], by: Acting) -> Entry:
    """Say what runs of a service in an environment now: all of it, by digest. Only of what one may see."""
    _check_seen(Service, service, by)
    _check_seen(Environment, environment, by)
    _check_artifacts(running)
    with transaction.atomic():
        return record(
            "deployment.observed", of=None, subject=f"service:{service}", actor=by.actor, service=service,
            environment=environment, artifacts=sorted(set(running)),
        )  # fmt: skip


def _check_artifacts(given: Collection[str]) -> None:
    """Each is a digest or a commit: the same spellings that are found in the inputs of changes."""
    wrong = [one for one in given if artifacts.found([one]) != [one]]
    if wrong or not 0 < len(given) <= MAX_ARTIFACTS:
        detail = f"Name 1 to {MAX_ARTIFACTS} artifacts, each as sha256:<64 hex digits> or a commit of 40."
        raise Invalid(f"Nothing was recorded. {detail}", errors=[{"pointer": "/artifacts", "detail": detail}])


def _check_seen(model: type[Service] | type[Environment], slug: str, by: Acting) -> None:
    if not permissions.visible(by.user, model._default_manager.filter(slug=slug)).exists():
        raise NotFound(f"There is no {model._meta.verbose_name} {slug}, or it is not yours to see.")
