"""Who may run steps, and which: hosts that were enrolled, each known by a key of its own.

An enrolment is signed by the workers' key of trust, and a process of the host signs its boot id: neither can be made
with the database's password. The very first worker of an installation enrols itself, as the root of trust. It must
never widen what an enrolment says.
"""

import socket
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now
from django.utils.text import slugify

from approvals import keys
from approvals.clock import database_time
from audit.ledger.entry import Actor, system
from audit.ledger.record import record, record_refusal
from audit.refusals import Invalid, NotFound, Refusal, StaleVersion
from orchestration.models import Environment, Step, Worker, WorkerNode

EVERYWHERE = "*"
RUNNER = 2  # what this release understands of a document; raised with each keyword that an older one would pass over
SEEN_WITHIN = timedelta(seconds=30)
_WORKER_OF = """
    SELECT worker.*, node.signature AS proof
      FROM orchestration_workernode AS node JOIN orchestration_worker AS worker ON worker.id = node.worker_id
     WHERE node.boot_id = %s
"""
_FIRST = "SELECT pg_advisory_xact_lock(7762)"


class WorkerUnknown(Refusal):
    """The process that asked for a step is of no enrolled worker, or cannot prove it."""

    code = "worker_unknown"


class NotForThisWorker(Refusal):
    """Another worker has to take this step: by its environment, by its labels, or by its release."""

    code = "worker_unfit"


# --- enrolment -------------------------------------------------------------------------------------------------


def enrol(
    *, name: str, public_key: str, environments: Sequence[str], labels: Sequence[str], by: Actor
) -> Worker:
    """Let a host run steps there. Only a process that holds the workers' key of trust can."""
    _check(name, public_key, environments, labels)
    made = Worker(
        name=name, public_key=public_key, environments=sorted(set(environments)), labels=sorted(set(labels)),
        enrolled_at=database_time(),
    )  # fmt: skip
    made.signature = keys.sign("trust", made.document)
    with transaction.atomic():
        made.save(force_insert=True)
        _record("worker.enrolled", made, by=by)
    return made


@transaction.atomic
def retire(name: str, *, by: Actor) -> Worker:
    """It takes no further step; what it runs it may end."""
    row = Worker.objects.select_for_update().filter(name=name, retired_at=None).first()
    if row is None:
        raise NotFound(f"There is no worker {name!r} that is enrolled; nothing was done.")
    seen = Worker.objects.filter(pk=row.pk, version=row.version)
    if not seen.update(retired_at=database_time(), version=F("version") + 1):
        raise StaleVersion(f"{name} was changed meanwhile; nothing was done.")
    row.refresh_from_db()
    _record("worker.retired", row, by=by)
    return row


def this_host() -> Worker | None:
    """The enrolment of this host. The first worker of all is enrolled by itself."""
    key = keys.public("identity")
    found = Worker.objects.filter(public_key=key, retired_at=None).first()
    if found is not None or not keys.holds("trust"):
        return found
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(_FIRST)
        if Worker.objects.exists():
            return Worker.objects.filter(public_key=key, retired_at=None).first()
        name = slugify(socket.gethostname())[:63] or "worker"
        by = system("system:setup")
        return enrol(name=name, public_key=key, environments=[EVERYWHERE], labels=[], by=by)


def _check(name: str, public_key: str, environments: Sequence[str], labels: Sequence[str]) -> None:
    wrong = ""
    known = {EVERYWHERE, *Environment.objects.values_list("slug", flat=True)}
    if not name or slugify(name) != name or len(name) > 63:
        wrong = "a name has small letters, digits and dashes"
    elif Worker.objects.filter(Q(name=name, retired_at=None) | Q(public_key=public_key)).exists():
        wrong = "this name is taken, or this key was enrolled before"
    elif len(public_key) != 64 or not set(public_key) <= set("0123456789abcdef"):
        wrong = "the key is not the one that `manage.py worker key` prints on that host"
    elif not environments or not set(environments) <= known:
        wrong = f"the environments are some of {', '.join(sorted(known))}"
    elif not all(slugify(label) == label and label and len(label) <= 50 for label in labels):
        wrong = "a label has small letters, digits and dashes"
    if wrong:
        raise Invalid(f"Nothing was enrolled: {wrong}.")


def _record(kind: str, row: Worker, *, by: Actor) -> None:
    about = {"worker": row.name, "public_key": row.public_key, "labels": list(row.labels)}
    record(kind, of=row, subject=row.name, actor=by, environments=list(row.environments), **about)


# --- a process of a host, and what it may take -------------------------------------------------------------------


def proof(boot_id: UUID) -> str:
    """What a process signs when it makes itself known."""
    return keys.sign("identity", {"boot_id": str(boot_id)})


def check(boot_id: UUID, *, environment: str, pool: Iterable[str], runner: int) -> None:
    """In the claim's transaction: an enrolled worker, by its key, for just this."""
    worker = next(iter(Worker.objects.raw(_WORKER_OF, [boot_id])), None)
    if worker is None or not is_proved(
        WorkerNode(boot_id=boot_id, worker=worker, signature=getattr(worker, "proof", ""))
    ):
        raise WorkerUnknown(f"The process {boot_id} is of no worker that is enrolled; it may take nothing.")
    if runner > RUNNER or not _may_act_in(worker, environment) or not set(pool) <= set(worker.labels):
        raise NotForThisWorker(f"{worker.name} may not take this step; another worker has to.")


def may_serve(boot_id: UUID, environment: str) -> bool:
    """Whether a process is of an enrolled worker, by its key, that may act there."""
    node = WorkerNode.objects.select_related("worker").filter(boot_id=boot_id).first()
    if node is None or node.worker is None or not is_proved(node):
        return False
    return _may_act_in(node.worker, environment)


def is_proved(node: WorkerNode) -> bool:
    """Whether the row is what a process of an enrolled worker wrote, and the enrolment what the key of trust signed."""
    return node.worker is not None and node.worker.retired_at is None and is_authentic(node)


def is_authentic(node: WorkerNode) -> bool:
    """The same of one that may have been retired since."""
    worker = node.worker
    return (
        worker is not None
        and keys.verify("trust", worker.document, worker.signature)
        and keys.verify_by(worker.public_key, "identity", {"boot_id": str(node.boot_id)}, node.signature)
    )


def strangers() -> int:
    """Steps that run at a process of no enrolled worker: whoever started them got past the claim."""
    running = Step.objects.filter(state=Step.State.RUNNING)
    owners = {owner for owner in running.values_list("lease_owner", flat=True) if owner is not None}
    nodes = WorkerNode.objects.select_related("worker").filter(boot_id__in=owners)
    return running.exclude(lease_owner__in=[one.boot_id for one in nodes if is_authentic(one)]).count()


def refused(boot_id: UUID, refusal: Refusal) -> None:
    """A process that is not known is told of once, however often it asks."""
    if not isinstance(refusal, WorkerUnknown):
        return
    told = WorkerNode.objects.filter(boot_id=boot_id, refused_at=None).update(refused_at=Now())
    if told:
        record_refusal(
            refusal, attempted="step.running", subject=str(boot_id), actor=system(f"worker:{boot_id}")
        )


def fitting(steps: QuerySet[Step], worker: Worker | None) -> QuerySet[Step]:
    """Those that this worker may take; the claim looks again."""
    if worker is None:
        return steps.none()
    here = (
        {}
        if EVERYWHERE in worker.environments
        else {"run__change__environment__slug__in": worker.environments}
    )
    return steps.filter(run__pool__contained_by=worker.labels, run__runner__lte=RUNNER, **here)


def last_seen(environment: str, pool: Sequence[str]) -> datetime | None:
    """When a worker that may act there with these labels was seen last; None: never."""
    here = Q(worker__environments__contains=[environment])
    fit = WorkerNode.objects.filter(
        here | Q(worker__environments__contains=[EVERYWHERE]),
        worker__retired_at=None,
        worker__labels__contains=list(pool),
        draining=False,
    )
    seen: datetime | None = fit.order_by("-seen_at").values_list("seen_at", flat=True).first()
    return seen


def _may_act_in(worker: Worker, environment: str) -> bool:
    return EVERYWHERE in worker.environments or environment in worker.environments
