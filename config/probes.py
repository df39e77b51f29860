"""Is it up, is it ready, how is it doing: for machines that watch.

`/healthz` and `/readyz` are open and say one word; `/metrics` needs a token with `reports:read` or a session.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from kombu import Connection
from kombu.exceptions import OperationalError
from rest_framework.request import Request
from rest_framework.views import APIView

from accounts import permissions
from audit.archive import known
from audit.clock import database_time
from audit.ledger import backwards
from audit.ledger.freshness import lag
from audit.models import Checkpoint, Timestamp
from orchestration import workers
from orchestration.engine.invariants import violations
from orchestration.models import Destination, Review, Step
from orchestration.outgoing import batches

BROKER_TIMEOUT_SECONDS = 1
PLAIN = "text/plain; charset=utf-8"
EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True)
class Gauge:
    """One number, or one for each value of a label."""

    name: str
    help: str
    values: Mapping[str, int]
    label: str = ""


def ledger() -> Gauge:
    """How far the sequencer is behind."""
    return Gauge("countersign_ledger_pending", "Entries that no checkpoint covers yet.", {"": lag().pending})


def steps() -> Gauge:
    """What waits, runs, or needs a person's answer."""
    states = (Step.State.READY, Step.State.RUNNING, Step.State.UNKNOWN)
    found = Step.objects.filter(state__in=states).values_list("state").annotate(n=Count("pk"))
    counts = {str(one): 0 for one in states} | dict(found)
    return Gauge("countersign_steps", "Steps by state.", counts, label="state")


def reviews() -> Gauge:
    """Emergencies that two people have still to look at."""
    counts = {"open": Review.objects.open().count(), "overdue": Review.objects.overdue().count()}
    return Gauge("countersign_reviews", "Reviews of emergencies by state.", counts, label="state")


def processes() -> Gauge:
    """Who runs the steps."""
    return Gauge(
        "countersign_workers", "Worker processes seen within the hour.", workers.by_state(), label="state"
    )


def queue() -> Gauge:
    """What is due, by the pool that has to take it."""
    counts: dict[str, int] = {}
    for one in workers.depth():
        name = " ".join(one.pool) or "any"
        counts[name] = counts.get(name, 0) + one.ready
    return Gauge("countersign_queue", "Steps that are due, by pool.", counts or {"any": 0}, label="pool")


def wait() -> Gauge:
    """How long the one that waits longest has waited."""
    longest = max((one.oldest_seconds for one in workers.depth()), default=0)
    return Gauge("countersign_queue_oldest_seconds", "Age of the oldest step that is due.", {"": longest})


def skew() -> Gauge:
    """How far the clock of a worker that is there is off."""
    offsets = [abs(one.node.clock_offset_ms) for one in workers.processes() if one.state != "offline"]
    return Gauge("countersign_worker_clock_offset_ms", "Largest clock offset.", {"": max(offsets, default=0)})


def sending() -> Gauge:
    """Whether entries reach whom they are sent to."""
    counts = dict.fromkeys(("active", "failing", "given_up"), 0)
    for one in Destination.objects.standing():
        counts[one.stands] += 1
    return Gauge("countersign_destinations", "Destinations by state.", counts, label="state")


def behind() -> Gauge:
    """How far each destination is behind what was sealed."""
    size = batches.sealed()
    counts = {one.name: one.behind(size) for one in Destination.objects.standing()}
    name = "countersign_destination_behind"
    return Gauge(name, "Entries that a destination has still to be sent.", counts, label="destination")


def clock() -> Gauge:
    """Whether the database's clock was set back: an alarm belongs on it."""
    back = backwards.behind()
    seconds = int(back.total_seconds()) if back else 0
    return Gauge(
        "countersign_clock_set_back_seconds", "Behind a time that the ledger shows already.", {"": seconds}
    )


def silence() -> Gauge:
    """Whether messages arrive: a broker that answers may still bring nothing."""
    return Gauge(
        "countersign_wakeup_silence_seconds",
        "Seconds since the broker brought any worker anything.",
        {"": workers.silence()},
    )


def archived() -> Gauge:
    """How long ago the log was archived; where an archive is set and it never was, since it was first signed."""
    written = known.last(known.WRITTEN, settings.ARCHIVE) if settings.ARCHIVE else None
    age = _age(written[0].occurred_at if written else None) if settings.ARCHIVE else 0
    return Gauge("countersign_archive_age_seconds", "Seconds since the log was archived.", {"": age})


def timestamped() -> Gauge:
    """The same of the authority that is to see the log."""
    kept = Timestamp.objects.order_by("-created_at").first()
    age = _age(kept.created_at if kept else None) if settings.TSA_URL else 0
    return Gauge("countersign_timestamp_age_seconds", "Seconds since an authority saw the log.", {"": age})


def _age(at: datetime | None) -> int:
    first = Checkpoint.objects.order_by("size").first()
    since = at or (first.created_at if first else database_time())
    return int((database_time() - since).total_seconds())


def invariants() -> Gauge:
    """Each must be 0; an alarm belongs on each."""
    counts = violations() | {"membership_behind_group": permissions.strays()}
    return Gauge(
        "countersign_invariant_violations", "Broken invariants; must be 0.", counts, label="invariant"
    )


GAUGES: list[Callable[[], Gauge]] = [
    ledger,
    steps,
    reviews,
    processes,
    queue,
    wait,
    skew,
    sending,
    behind,
    clock,
    silence,
    archived,
    timestamped,
    invariants,
]  # who adds one names its function here


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """The process answers; /readyz says whether its servers do."""
    return HttpResponse("ok\n", content_type=PLAIN)


@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """503 until the database and the broker answer. Says which, never why."""
    states = {"database": _database(), "broker": broker_answers()}
    lines = "".join(f"{name} {'ok' if up else 'down'}\n" for name, up in states.items())
    return HttpResponse(lines, content_type=PLAIN, status=200 if all(states.values()) else 503)


class Metrics(APIView):
    """The gauges in the text exposition format."""

    scopes = {"GET": "reports:read"}
    schema = None

    def get(self, request: Request) -> HttpResponse:
        return HttpResponse("".join(_exposed(gauge()) for gauge in GAUGES), content_type=EXPOSITION)


def _exposed(gauge: Gauge) -> str:
    lines = [f"# HELP {gauge.name} {gauge.help}", f"# TYPE {gauge.name} gauge"]
    for value, count in gauge.values.items():
        labels = f'{{{gauge.label}="{value}"}}' if gauge.label else ""
        lines.append(f"{gauge.name}{labels} {count}")
    return "\n".join(lines) + "\n"


def _database() -> bool:
    with suppress(DatabaseError), connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        return True
    return False


def broker_answers() -> bool:
    """Within a second."""
    limits = (
        "socket_connect_timeout",
        "socket_timeout",
        "read_timeout",
        "write_timeout",
    )  # of Redis, of AMQP
    options = dict.fromkeys(limits, BROKER_TIMEOUT_SECONDS)
    with (
        suppress(OperationalError, OSError),
        Connection(
            settings.BROKER_URL, connect_timeout=BROKER_TIMEOUT_SECONDS, transport_options=options
        ) as broker,
    ):
        broker.ensure_connection(max_retries=1, timeout=BROKER_TIMEOUT_SECONDS)
        return True
    return False
