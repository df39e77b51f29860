"""A receiver outside, a destination for it, an admin, and a worker that sends."""

import json
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.db.models import F
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from accounts import teams
from accounts.acting import Acting
from orchestration import catalogue
from orchestration.actions import egress
from orchestration.engine.nodes import Node
from orchestration.governed.destinations import Create
from orchestration.governed.install import definition
from orchestration.models import CONTROL_ROOM, ITSELF, Destination
from orchestration.outgoing import destinations, sender
from orchestration.secrets import store
from tests.audit.log import sequence, write
from tests.factories import TEST
from tests.orchestration.far import Told, far

KEY = "whsec_Q291bnRlcnNpZ24gdGVzdHMgb25seSwgMzIgYnl0ZXM="
TOKEN = "Bearer of-the-collector-7Zq"
PLACES: dict[str, Any] = {"environments": ["control-room"], "services": [], "workflows": []}
SETTINGS: dict[str, Any] = {
    "kinds": ["test.*"],
    "batch": 1,
    "names": False,
    "secret": "platform/siem",
    "header": "Authorization",
}


class Outside:
    """The bank, its worker, and whom it tells. `told` is what arrived."""

    def __init__(self, server, *, secret=KEY):
        self.server = server
        owner = teams.create_team(slug="platform", name="Platform", by=TEST)
        user = teams.create_person(username="sam", name="Sam", by=TEST, superuser=True)
        teams.join(owner, user, by=TEST)
        self.sam = Acting(user, "session")
        self.secret = lend_secrets(owner, by=self.sam, value=secret)
        self.node, self.child = Node(), sender.Child()
        self.node.register()

    def destination(self, name="siem", kind="webhook", *, from_beginning=False, **changed):
        """One that asks for what tests write, from now on."""
        sequence()
        asked = {"url": f"{self.server.url}/events", **SETTINGS, **changed}
        return destinations.create(name=name, kind=kind, from_beginning=from_beginning, by=TEST, **asked)

    def write(self, number=1, **data):
        """So many entries, sealed."""
        written = write(number, **data)
        sequence()
        return written

    def turn(self):
        """What the worker's thread does in one round."""
        return sender.turn(self.node, self.child)

    @property
    def told(self):
        """The requests that arrived: the key of each, and the places of the log that it holds."""
        return [(one.headers["idempotency-key"], places(one)) for one in self.server.asked]

    def close(self):
        self.child.close()
        self.node.stop()


def lend_secrets(owner, *, by, value=KEY):
    """A secret that destinations may use; of the governed acts only the one that it is lent to."""
    catalogue.create_environment(
        slug=CONTROL_ROOM, name="Control room", tier=1, position=1000, protected=True, by=TEST
    )
    catalogue.create_service(slug=ITSELF, name="Countersign itself", tier=1, owner=owner, by=TEST)
    catalogue.install(definition(Create(), owner), origin="test", by=TEST)
    secret = store.create(path="platform/siem", owner=owner, scope=PLACES, by=by)
    store.write(secret, value, by=by)
    return secret


def places(asked):
    """The indexes in one request."""
    return [index for index, _ in arrived(asked)]


def arrived(asked):
    """Of each event of one request its index, and that of the one before it: as a collector reads it, or a webhook."""
    if asked.headers["content-type"] == "application/x-protobuf":
        [logs] = ExportLogsServiceRequest.FromString(asked.body).resource_logs
        told = [
            {one.key: one.value.int_value for one in record.attributes}
            for record in logs.scope_logs[0].log_records
        ]
        return [(one["countersign.index"], one.get("countersign.previous")) for one in told]
    found = json.loads(asked.body)
    events = found if isinstance(found, list) else [found]
    return [(int(one["sequence"]), int(one["previous"]) if "previous" in one else None) for one in events]


@contextmanager
def outside(monkeypatch, answers=lambda _: Told(204), **more):
    monkeypatch.setenv(egress.ALLOWED, "127.0.0.1")
    with far(answers) as server:
        made = Outside(server, **more)
        try:
            yield made
        finally:
            made.close()


def pass_by(**span):
    """The database's clock, seen from the rows: everything that was to come is nearer, what was is longer ago."""
    moved = timedelta(**span)
    times = ("next_try_at", "failing_since", "lease_until")
    Destination.objects.update(**{name: F(name) - moved for name in times})
