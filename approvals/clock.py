"""The one clock of approvals: the database's (audit/clock.py). It must never be a process's own."""

from audit.clock import database_time

__all__ = ["database_time"]
