"""What happened, and its proof."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error, Tags, register


class AuditConfig(AppConfig):
    name = "audit"

    def ready(self) -> None:
        # A deployment check: `migrate` runs the others before it has made what this one asks for.
        register(guards_are_awake, Tags.database, deploy=True)


def guards_are_awake(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """`manage.py check --deploy --database default`: the guards are there, as our migrations made them."""
    if not databases:
        return []
    from audit.ledger import guarded

    hint = "Somebody changed the database behind our back, or a migration is not applied yet."
    return [Error(fault, hint=hint, id="audit.E001") for fault in guarded.faults()]
