"""Is this installation well? Looks at every part and says of each what is wrong and what to do. Repairs nothing.

A part that cannot be looked at is ill, not skipped.
"""

import shutil
import stat
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, NamedTuple

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.conf import settings
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from approvals.policy import bundles
from audit.archive import known
from audit.clock import database_time
from audit.ledger import backwards, checkpoint, examined, freshness, guarded, roles, stamped, witnesses
from audit.models import Checkpoint, Cosignature, Timestamp
from config import probes
from orchestration import stopping, workers
from orchestration.engine import apart, invariants
from orchestration.logs import bodies
from orchestration.models import Destination
from orchestration.outgoing import batches

Verdict = Literal["ok", "look", "ill"]
POSTGRES = 150000  # 15: what the guards and the claims are tested with
SKEW_SECONDS = 2.0
ROOM, LITTLE_ROOM = 0.02, 0.10  # of the disk
LAG_SECONDS = 60
WITNESSED_WITHIN = timedelta(minutes=10)
KEPT_WITHIN, RESTORED_WITHIN = timedelta(days=2), timedelta(days=90)
MEET = "doctor"
UNHELD = """
SELECT DISTINCT a.usename FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid
WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
  AND (r.rolsuper OR r.oid = (SELECT relowner FROM pg_class WHERE oid = 'audit_entry'::regclass))
"""


class Finding(NamedTuple):
    """What was looked at, how it is, and what to do; nothing to do where it is well."""

    part: str
    verdict: Verdict
    says: str
    do: str = ""


def examine() -> list[Finding]:
    """Every part, in the order in which they rest on one another."""
    return [finding for part, look in PARTS.items() for finding in _look(part, look)]


def _look(part: str, look: Callable[[], Iterator[Finding]]) -> list[Finding]:
    try:
        return list(look()) or [Finding(part, "ok", "well")]
    except Exception as error:  # noqa: BLE001 - whatever it is, somebody has to know
        says = f"could not be looked at: {type(error).__name__}: {error}".strip()[:300]
        return [Finding(part, "ill", says, "See what the part above it says; then run the doctor again.")]


def _keys() -> Iterator[Finding]:
    folder = Path(settings.KEY_DIR)
    if not folder.is_dir():
        yield Finding(
            "keys", "ill", f"{folder} is not there", "Start the product once, or restore the folder."
        )
    for one in folder.rglob("*.key"):
        if stat.S_IMODE(one.stat().st_mode) & 0o077:
            yield Finding(
                "keys", "ill", f"{one} can be read by others", f"chmod 600 {one}, and make a new key."
            )
    if not (folder / "public" / "worker" / "permit.pub").exists():
        do = "Wait for the first start of a run, or copy `public/` from a host where workers run."
        yield Finding("keys", "look", "no worker's key of permits is known here", do)


def _database() -> Iterator[Finding]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('server_version_num')::int, clock_timestamp()")
        version, now = cursor.fetchone()
    if version < POSTGRES:
        yield Finding("database", "ill", f"PostgreSQL {version // 10000}", "Move to PostgreSQL 15 or newer.")
    behind = (datetime.now(UTC) - now).total_seconds()
    if abs(behind) > SKEW_SECONDS:
        do = "Let both hosts follow a time server. The database's clock decides; logs of this host mislead."
        yield Finding("clock", "look", f"this host is {behind:+.1f} s off the database", do)


def _clock() -> Iterator[Finding]:
    if (back := backwards.behind()) is not None:
        says = f"the database's clock is {back} behind a time that the ledger shows: it was set back"
        do = "Find out who set it, and correct it. What expires and opens is judged by it; see ledger.clock_set_back."
        yield Finding("clock", "ill", says, do)


def _migrations() -> Iterator[Finding]:
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if plan:
        first = f"{plan[0][0].app_label}.{plan[0][0].name}"
        yield Finding("migrations", "ill", f"{len(plan)} not applied, first {first}", "manage.py migrate")


def _guards() -> Iterator[Finding]:
    for fault in guarded.faults():
        do = "Find out who changed it: entries may be missing. Restore it from the migration that made it."
        yield Finding("guards", "ill", fault, do)


def _roles() -> Iterator[Finding]:
    """Who owns the tables, or is a superuser, is held by no guard: a terminal may be, web and workers must not."""
    for fault in roles.faults():
        yield Finding("roles", "look", fault, "As the owner of the tables: manage.py ledger roles")
    with connection.cursor() as cursor:
        cursor.execute(UNHELD)
        names = [name for (name,) in cursor.fetchall()]
    if names:
        says = f"somebody is connected as {', '.join(names)}, which no guard can hold"
        do = "If it is no terminal: let web and workers connect as countersign_app."
        yield Finding("roles", "look", says, do)


def _broker() -> Iterator[Finding]:
    if not probes.broker_answers():
        do = "Start it, or correct COUNTERSIGN_BROKER_URL. Nothing is lost meanwhile; workers poll."
        yield Finding("broker", "look", "it does not answer", do)


def _wakeups() -> Iterator[Finding]:
    """The broker may answer and bring nothing all the same."""
    quiet = workers.silence()
    if quiet > workers.SILENT_SECONDS:
        says = f"no worker got a message for {quiet} s, so work starts late"
        do = "See whether beat runs, then restart the workers. Nothing is lost meanwhile; workers poll."
        yield Finding("wake-ups", "look", says, do)


def _live() -> Iterator[Finding]:
    async_to_sync(get_channel_layer().group_send)(MEET, {"type": "hint"})
    yield Finding("live pages", "ok", "hints can be sent")


def _disk() -> Iterator[Finding]:
    for folder in {Path(settings.DATA_DIR), Path(settings.KEY_DIR)}:
        disk = shutil.disk_usage(next(one for one in (folder, *folder.parents) if one.exists()))
        free = disk.free / disk.total
        if free < LITTLE_ROOM:
            verdict: Verdict = "ill" if free < ROOM else "look"
            yield Finding("disk", verdict, f"{free:.0%} free at {folder}", "Make room before it is full.")


def _logs() -> Iterator[Finding]:
    there = bodies.storage()
    try:
        if there is not None:
            there.exists("doctor")
    except Exception as error:  # noqa: BLE001 - each storage has errors of its own
        says = f"the storage of logs does not answer ({type(error).__name__}); new logs stay in the database"
        yield Finding("logs", "ill", says, "docs/how-to/keep-logs.md")


def _archive() -> Iterator[Finding]:
    """Where one is set. Nothing is lost meanwhile: the next that succeeds takes all that is new."""
    if not settings.ARCHIVE:
        return
    page, now = "docs/how-to/archive-the-ledger.md", database_time()
    written, checked = (known.last(kind, settings.ARCHIVE) for kind in (known.WRITTEN, known.CHECKED))
    if written is None or written[0].occurred_at < now - KEPT_WITHIN:
        since = f"since {written[0].occurred_at:%Y-%m-%d}" if written else "yet"
        do = f"Run `manage.py ledger archive` and see what it says: {page}"
        yield Finding("archive", "ill", f"nothing was archived {since}", do)
    if checked is not None and checked[1]["verdict"] != "verified":
        says = f"when it was restored, the verdict was {checked[1]['verdict']}: {checked[1]['detail']}"
        yield Finding("archive", "ill", says[:300], f"Find out who changed it: {page}")
    elif checked is None or checked[0].occurred_at < now - RESTORED_WITHIN:
        says = "nobody restored and verified it within 90 days"
        yield Finding("archive", "look", says, "manage.py ledger restore-check")


def _timestamps() -> Iterator[Finding]:
    page, since = "docs/how-to/timestamp-the-ledger.md", database_time() - KEPT_WITHIN
    if settings.TSA_URL and not Timestamp.objects.filter(created_at__gt=since).exists():
        yield Finding(
            "timestamps", "look", "the authority gave none within two days", f"See the worker's log: {page}"
        )
    if why := stamped.unchecked():
        yield Finding("timestamps", "look", f"those that are kept cannot be checked: {why}", page)


def _workers() -> Iterator[Finding]:
    found = workers.processes()
    if not any(one.state == "online" for one in found):
        do = "Start a worker; until then nothing starts, and nothing is lost."
        yield Finding("workers", "ill", "none was seen within half a minute", do)
    for one in found:
        if one.state != "offline":
            for fault in one.faults:
                yield Finding(
                    "workers", "look", f"{one.node.host}: {fault}", "docs/how-to/run-more-workers.md"
                )
    for waiting in workers.depth():
        if why := workers.unserved(waiting):
            yield Finding("queue", "look", why, "Enrol or start such a worker, or cancel what waits.")


def _destinations() -> Iterator[Finding]:
    size = batches.sealed()
    for one in Destination.objects.standing().exclude(attempts=0, paused_at=None):
        waits = "it was given up" if one.paused_at else f"{one.attempts} attempts failed"
        says = f"{one.name}: {waits}, {one.behind(size)} entries behind. {one.last_error}"
        yield Finding("destinations", "look", says, "docs/how-to/send-events-to-a-siem.md")


def _steps() -> Iterator[Finding]:
    if problem := apart.problem():
        do = "Install bubblewrap and allow user namespaces, run as the workers do, or take the setting back."
        yield Finding("steps", "ill", problem, do)


def _signer() -> Iterator[Finding]:
    """It remembers what it signed last; a log that is shorter, or other at that size, was cut off or rewritten."""
    head, newest = checkpoint.ask({"do": "head"}), checkpoint.newest()
    do = "Stop and find out who wrote to the database, or whether an old backup was restored: docs/how-to/back-up.md"
    placed = freshness.lag().size
    if head["size"] > placed:
        yield Finding("signer", "ill", f"it has signed {head['size']} entries, but the log has {placed}", do)
    elif newest is not None and newest.size == head["size"] and bytes(newest.root).hex() != head["root"]:
        yield Finding("signer", "ill", f"it has signed another log of {newest.size} entries", do)


def _witnesses() -> Iterator[Finding]:
    """One that is behind is away, or has seen another log; the sequencer's log says which."""
    page = "See the sequencer's log: docs/how-to/let-witnesses-cosign.md"
    for one in witnesses.policy().witnesses:
        last = Cosignature.objects.filter(witness=one.name).order_by("-checkpoint").first()
        since = last.checkpoint.created_at if last else None
        missed = Checkpoint.objects.filter(created_at__lt=database_time() - WITNESSED_WITHIN)
        if missed.filter(**({"created_at__gt": since} if since else {})).exists():
            told = f"nothing since the checkpoint of {last.checkpoint_id} entries" if last else "nothing yet"
            yield Finding("witnesses", "look", f"{one.name} has cosigned {told}", page)


def _ledger() -> Iterator[Finding]:
    behind = freshness.lag()
    if behind.oldest_seconds > LAG_SECONDS:
        says = f"{behind.pending} entries wait, the oldest for {behind.oldest_seconds:.0f} s"
        yield Finding(
            "ledger", "ill", says, "Start the sequencer and the signer; the gate is shut until then."
        )


def _examined() -> Iterator[Finding]:
    last = examined.newest()
    if last is not None and last.first:
        do = "Keep the database as it is, run `manage.py ledger verify`, and find out who wrote to it."
        yield Finding("examination", "ill", f"the log was altered: {last.first}", do)


def _invariants() -> Iterator[Finding]:
    for name, count in invariants.violations().items():
        if count:
            do = "Run `manage.py ledger verify`, and find out who wrote to the database."
            yield Finding("invariants", "ill", f"{name}: {count}", do)


def _policy() -> Iterator[Finding]:
    bundle = bundles.active()  # refuses what was altered
    yield Finding("policy", "ok", f"version {bundle.serial} is what was signed")


def _switches() -> Iterator[Finding]:
    for one in stopping.standing():
        yield Finding(
            "kill switches", "look", f"{one.about}: {one.reason}", "Request kill-switch-lift when it is over."
        )


PARTS: dict[str, Callable[[], Iterator[Finding]]] = {
    "keys": _keys,
    "database": _database,
    "clock": _clock,
    "migrations": _migrations,
    "guards": _guards,
    "roles": _roles,
    "broker": _broker,
    "wake-ups": _wakeups,
    "live pages": _live,
    "disk": _disk,
    "logs": _logs,
    "timestamps": _timestamps,
    "archive": _archive,
    "workers": _workers,
    "steps": _steps,
    "signer": _signer,
    "witnesses": _witnesses,
    "ledger": _ledger,
    "examination": _examined,
    "destinations": _destinations,
    "invariants": _invariants,
    "policy": _policy,
    "kill switches": _switches,
}
