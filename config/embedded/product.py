"""What the product's own processes run, imported once before they are forked. The only Django in this package."""

import gc
import os
import sys
from importlib import import_module

from config.databases import read_address

# Imported by one of the processes anyway; here, so that all share it.
SHARED = (
    "config.asgi",
    "celery.apps.beat",
    "celery.apps.worker",
    "celery.bin.celery",
    "celery.concurrency.prefork",
    "celery.worker.consumer",
    "django.core.management.commands.migrate",
    "kombu.transport.redis",
    "uvicorn.lifespan.on",
    "uvicorn.loops.auto",
    "uvicorn.protocols.http.auto",
    "uvicorn.protocols.websockets.auto",
)


def load() -> None:
    """Import everything, then keep the collector's hands off it: a page that it touches is shared no more."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    for name in SHARED:
        import_module(name)
    from django.urls import get_resolver

    _ = get_resolver().url_patterns
    gc.collect()
    gc.freeze()


def manage(*arguments: str) -> None:
    """A management command."""
    from django.core.management import execute_from_command_line

    execute_from_command_line(["manage.py", *arguments])


def signer_answers() -> bool:
    """Whether the process that holds the log's key is there."""
    from audit.ledger.checkpoint import SignerAway, ask

    try:
        return "size" in ask({"do": "head"})
    except SignerAway:
        return False


def role_of(name: str) -> str:
    """As whom a process of the product connects."""
    from audit.ledger import roles

    return roles.SEQUENCER if name == "sequencer" else roles.APP


def become(side: str, database: str) -> None:
    """For this process and what it starts: whose keys it signs with, and as whom it connects.

    The settings were read before the fork, and nothing has connected yet.
    """
    from django.conf import settings
    from django.db import connections

    settings.SIGNS_AS = os.environ["COUNTERSIGN_SIGNS_AS"] = side
    settings.DATABASE_URL = os.environ["COUNTERSIGN_DATABASE_URL"] = database
    connections.settings["default"].update(read_address(database))


def celery(*arguments: str) -> None:
    """A command of Celery's."""
    from celery.bin.celery import main

    sys.argv = ["celery", "-A", "config.celery", *arguments]
    main()


def web(fd: int) -> None:
    """HTTP and sockets on a listening descriptor."""
    import uvicorn

    uvicorn.run(
        "config.asgi:application",
        fd=fd,
        log_config=None,  # ours: settings.LOGGING
        access_log=False,
        timeout_graceful_shutdown=3,
    )
