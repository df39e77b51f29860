"""Addresses of databases: the embedded server's, for each of its roles, and what Django makes of one."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

from environ import Env

OWNER = "countersign"
PLANNED = {"server_side_binding": True, "prepare_threshold": 3}  # a statement is planned once, not each time


def address(run: Path, role: str = OWNER) -> str:
    """The product's database on the embedded server, whose socket is in this folder."""
    return f"postgres://{role}@/countersign?host={quote(str(run), safe='')}"


def read_address(url: str) -> dict[str, Any]:
    """The parts as Django names them, and how statements are sent."""
    parts: dict[str, Any] = Env.db_url_config(url)
    parts["ENGINE"] = "django.db.backends.postgresql"
    options = parts["OPTIONS"] = {**PLANNED, **parts.get("OPTIONS", {})}
    if host := options.pop("host", None):
        parts["HOST"] = host
    return parts
