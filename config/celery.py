"""Celery carries wake-ups, never truth: a lost message costs seconds, a duplicate one costs a query."""

import os
import sys
from typing import Any

from celery import Celery
from celery.signals import worker_init, worker_process_init, worker_process_shutdown, worker_shutting_down

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("countersign")
app.config_from_object("config.celeryconfig")
# A connection lives longer than a task: its statements are planned already. Each task lets go of a broken one itself.
app.conf.CELERY_DB_REUSE_MAX = sys.maxsize
app.autodiscover_tasks(["orchestration", "approvals", "accounts", "audit"])


# Celery knows no other way to be told of its processes; no domain code listens to a signal.
@worker_init.connect
def _open(**_: Any) -> None:
    """The worker's main process, before it has a pool."""
    from orchestration.engine import nodes

    nodes.new_worker()


@worker_process_init.connect
def _begin(**_: Any) -> None:
    """A pool process of its own: known to the database, its heart beating, looking for work itself."""
    from django.conf import settings

    from orchestration import planning  # apps are ready by now
    from orchestration.engine import nodes, poll, supervise  # apps are ready by now
    from orchestration.outgoing import sender
    from orchestration.secrets import envelope

    envelope.make_key(settings.KEY_DIR)  # so that the web server can seal for the workers
    supervise.sweep_orphans()
    supervise.sweep_secrets()
    supervise.fork_server()  # warm before the first step
    poll.start(nodes.this(), also=planning.sweep)
    sender.start(nodes.this())


@worker_shutting_down.connect
def _drain(**_: Any) -> None:
    """SIGTERM: what runs may end; nothing new is claimed by any process of this worker."""
    from orchestration.engine import nodes

    nodes.drain()


@worker_process_shutdown.connect
def _end(**_: Any) -> None:
    from orchestration.engine import nodes

    nodes.this().stop()
