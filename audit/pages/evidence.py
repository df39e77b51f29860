"""Rows of evidence as pages show them: with names, with times as times, with the state's shape and word."""

from datetime import UTC, datetime
from typing import Any

from audit.names import Names

ITEMS = {
    "pass": ("passed", "Passed"),
    "fail": ("failed", "Failed"),
    "exception": ("exception", "Exception"),
    "na": ("not_tested", "Does not apply"),
    "indeterminate": ("unknown", "Cannot tell"),
}

SHOWN = {"result", "reason", "words", "deviation", "index", "kind", "item", "at"}  # elsewhere in its row


def people(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with names; an item that is no execution has neither requester nor start."""
    names = Names(
        actor
        for row in rows
        for actor in (row.get("requester_actor"), *row.get("approver_actors", ()))
        if actor
    )
    return [_row(row, names, _moment(row.get("started_at") or row.get("at"))) for row in rows]


def _row(row: dict[str, Any], names: Names, started: datetime | None) -> dict[str, Any]:
    """With the names of that time, and those of now where they are others."""
    at = started or datetime.max.replace(tzinfo=UTC)
    return {
        **row,
        "state": ITEMS[row["result"]],
        "requester_name": names.both(row.get("requester_actor") or "", at) or "unknown",
        "approver_names": [names.both(actor, at) or "unknown" for actor in row.get("approver_actors", ())],
        "started": started,
        "approved_before": _seconds_before(row),
        "said": _said(row),
        "title": _title(row),
    }


def _title(row: dict[str, Any]) -> str:
    if row["kind"] == "checkpoint":
        return f"Checkpoint of {row['item']} entries"
    return str(row.get("run") or row.get("item") or f"entry {row['index']}")


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _said(row: dict[str, Any]) -> list[tuple[str, str]]:
    """What an item of another kind is, as pairs; nothing of an execution, which has columns of its own."""
    if row.get("run"):
        return []
    told = {name: value for name, value in row.items() if name not in SHOWN and value not in (None, "", [])}
    return [(name.replace("_", " "), str(value)) for name, value in told.items()]


def _seconds_before(row: dict[str, Any]) -> float | None:
    """Seconds between the last approval and the start."""
    if not row.get("approved_at") or not row.get("started_at"):
        return None
    started, approved = (datetime.fromisoformat(row[name]) for name in ("started_at", "approved_at"))
    return (started - approved).total_seconds()
