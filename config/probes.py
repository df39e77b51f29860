"""Is it up, is it ready, how is it doing: for machines that watch.

`/healthz` and `/readyz` are open and say one word; `/metrics` needs a token with `reports:read` or a session.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from kombu import Connection
from kombu.exceptions import OperationalError
from rest_framework.request import Request
from rest_framework.views import APIView

from audit.models import Pending

BROKER_TIMEOUT_SECONDS = 1
PLAIN = "text/plain; charset=utf-8"
EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True)
class Sample:
    """One gauge of the exposition. Names say the unit."""

    name: str
    help: str
    value: float


def waiting_entries() -> Iterable[Sample]:
    """How far the sequencer is behind."""
    yield Sample(
        "countersign_ledger_pending", "Entries that have no place in the log yet.", Pending.objects.count()
    )


# Who adds a gauge names its function here; an invariant's gauge must be 0.
GAUGES: list[Callable[[], Iterable[Sample]]] = [waiting_entries]


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """The process answers; /readyz says whether its servers do."""
    return HttpResponse("ok\n", content_type=PLAIN)


@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """503 until the database and the broker answer. Says which, never why."""
    states = {"database": _database(), "broker": _broker()}
    lines = "".join(f"{name} {'ok' if up else 'down'}\n" for name, up in states.items())
    return HttpResponse(lines, content_type=PLAIN, status=200 if all(states.values()) else 503)


class Metrics(APIView):
    """The gauges in the text exposition format."""

    scopes = {"GET": "reports:read"}
    schema = None

    def get(self, request: Request) -> HttpResponse:
        samples = [sample for gauge in GAUGES for sample in gauge()]
        return HttpResponse("".join(_exposed(one) for one in samples), content_type=EXPOSITION)


def _exposed(sample: Sample) -> str:
    return f"# HELP {sample.name} {sample.help}\n# TYPE {sample.name} gauge\n{sample.name} {sample.value:g}\n"


def _database() -> bool:
    with suppress(DatabaseError), connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        return True
    return False


def _broker() -> bool:
    options = {"socket_connect_timeout": BROKER_TIMEOUT_SECONDS, "socket_timeout": BROKER_TIMEOUT_SECONDS}
    with (
        suppress(OperationalError, OSError),
        Connection(settings.BROKER_URL, transport_options=options) as broker,
    ):
        broker.ensure_connection(max_retries=1, timeout=BROKER_TIMEOUT_SECONDS)
        return True
    return False
