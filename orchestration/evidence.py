"""What others tell about changes: evidence that was attached, and what observers saw running. Only written down.

The log keeps the digest of a piece of evidence and where it lies; it must never fetch or judge what lies there.
"""

from collections.abc import Collection

from django.db import transaction

from accounts import permissions
from accounts.acting import Acting
from audit.ledger.record import record
from audit.models import Entry
from audit.refusals import Invalid, NotFound
from orchestration import lifecycle
from orchestration.definitions import artifacts
from orchestration.engine.rows import lock_change
from orchestration.models import Change, Environment, Service

KINDS = ("impact", "test_result", "security_check", "rollback_plan", "other")
MAX_ARTIFACTS = 100  # of one observation


def attach(change: Change, *, evidence_kind: str, digest: str, address: str, by: Acting) -> Entry:
    """Say that this belongs to what is asked for now; to a later revision it has to be attached anew."""
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
