"""What runs the steps, and what waits to be run: read from the workers' own rows and from the steps. Writes nothing."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.db.models import Count, Max, Min, Q
from django.db.models.functions import Coalesce

from accounts import permissions
from accounts.models import User
from approvals.clock import database_time
from audit.access import may_read
from orchestration.engine import enrolled
from orchestration.models import Environment, Run, Step, WorkerNode

LISTED = timedelta(hours=1)  # a process that was not seen for longer is history
SILENT_SECONDS = 30  # then work starts by looking for it only
ALERT_MS = 2000  # a clock that is further off misleads whoever reads a log
S = Step.State


class Process(NamedTuple):
    """One worker process as it stands; `faults` are what somebody should see to, in words."""

    node: WorkerNode
    held: int
    state: str  # online, draining, offline
    faults: list[str]


class Waiting(NamedTuple):
    """Steps that are due, of one environment and one pool."""

    environment: str
    pool: list[str]
    ready: int
    running: int
    oldest_seconds: int
    last_seen: datetime | None

    @property
    def is_served(self) -> bool:
        return self.last_seen is not None and database_time() - self.last_seen < enrolled.SEEN_WITHIN


def may_see(user: Any) -> bool:
    """An admin, an auditor, or whoever operates some environment."""
    if not isinstance(user, User):
        return False
    operates = permissions.visible(user, Environment.objects.all(), "operate")
    return user.is_superuser or may_read(user) or operates.exists()


def processes() -> list[Process]:
    """Those that were seen within the hour, the newest first."""
    now = database_time()
    running = Step.objects.filter(state=S.RUNNING).values_list("lease_owner").annotate(n=Count("pk"))
    held = dict(running)
    nodes = WorkerNode.objects.select_related("worker").filter(seen_at__gt=now - LISTED)
    return [
        Process(one, held.get(one.boot_id, 0), _state(one, now), _faults(one, now))
        for one in nodes.order_by("-seen_at")
    ]


def depth() -> list[Waiting]:
    """What is due and what runs, by environment and pool; the longest wait first."""
    now = database_time()
    due = Q(state=S.READY, not_before__lte=now) | Q(state=S.RUNNING)
    open_ = Step.objects.filter(due, run__state__in=[Run.State.READY, Run.State.RUNNING], run__paused_at=None)
    rows = open_.values("run__change__environment__slug", "run__pool").annotate(
        ready=Count("pk", filter=Q(state=S.READY)),
        running=Count("pk", filter=Q(state=S.RUNNING)),
        since=Min("not_before", filter=Q(state=S.READY)),
    )
    found = [
        Waiting(
            environment=row["run__change__environment__slug"],
            pool=row["run__pool"],
            ready=row["ready"],
            running=row["running"],
            oldest_seconds=int((now - row["since"]).total_seconds()) if row["since"] else 0,
            last_seen=enrolled.last_seen(row["run__change__environment__slug"], row["run__pool"]),
        )
        for row in rows.order_by()
    ]
    return sorted(found, key=lambda one: -one.oldest_seconds)


def by_state() -> dict[str, int]:
    """How many processes are alive, drain, or went without a word within the hour."""
    counts = dict.fromkeys(("online", "draining", "offline"), 0)
    for one in processes():
        counts[one.state] += 1
    return counts


def silence() -> int:
    """Seconds since the broker brought any worker anything, or since they began. Beat sends something every five."""
    now = database_time()
    online = WorkerNode.objects.filter(seen_at__gt=now - enrolled.SEEN_WITHIN)
    newest = online.aggregate(at=Max(Coalesce("heard_at", "started_at")))["at"]
    return int((now - newest).total_seconds()) if newest else 0


def unserved(waiting: Waiting) -> str:
    """Why nobody takes what waits; empty while somebody may."""
    if waiting.is_served or not waiting.ready:
        return ""
    with_ = f" with {' and '.join(waiting.pool)}" if waiting.pool else ""
    since = "was ever seen"
    if waiting.last_seen is not None:
        gone = database_time() - waiting.last_seen
        since = f"has been seen for {_span(gone)}"
    return f"No worker{with_} that may act in {waiting.environment} {since}."


def _state(node: WorkerNode, now: datetime) -> str:
    if now - node.seen_at > enrolled.SEEN_WITHIN:
        return "offline"
    return "draining" if node.draining else "online"


def _faults(node: WorkerNode, now: datetime) -> list[str]:
    found = []
    if not enrolled.is_proved(node):
        found.append("It is of no enrolled worker, so it takes nothing.")
    if abs(node.clock_offset_ms) > ALERT_MS:
        refuses = abs(node.clock_offset_ms) >= settings.LEASE_TTL_SECONDS * 1000 / 3
        found.append(
            f"Its clock is {node.clock_offset_ms / 1000:+.1f} s off{', so it takes nothing' if refuses else ''}."
        )
    if node.release != settings.RELEASE or node.runner != enrolled.RUNNER:
        found.append(f"It runs release {node.release}, this page {settings.RELEASE}.")
    return found


def _span(span: timedelta) -> str:
    seconds = int(span.total_seconds())
    named: Sequence[tuple[int, str]] = ((86400, "d"), (3600, "h"), (60, "m"))
    return next((f"{seconds // size} {name}" for size, name in named if seconds >= size), f"{seconds} s")
