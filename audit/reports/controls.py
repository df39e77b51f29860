"""What is asked of a control report, and its evidence as a file. Each export is itself an entry."""

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from audit.controls.catalogue import control
from audit.controls.evaluate import Report, Scope, evaluate
from audit.ledger import checkpoint
from audit.ledger.entry import Actor
from audit.ledger.record import record
from audit.models import Checkpoint
from audit.refusals import Invalid, NotFound
from audit.reports import sheet
from audit.reports.period import period
from audit.reports.sheet import Sheet


class NothingSealed(NotFound):
    """There is no signed checkpoint, so there is nothing to test."""

    code = "nothing_sealed"


def scope(asked: Mapping[str, str], *, undone: str = "Nothing was tested") -> Scope:
    """The period `[from, to)` and the environment that were asked for; Invalid when they cannot be read."""
    start, end = period(asked, undone=undone)
    return Scope(start, end, asked.get("environment", "")[:100])


def asked_report(asked: Mapping[str, str]) -> Report:
    """The report for a period, an environment and a checkpoint (the newest, unless its size is given)."""
    return evaluate(asked_checkpoint(asked.get("checkpoint", "")), scope(asked))


def asked_checkpoint(size: str, *, undone: str = "Nothing was tested") -> Checkpoint:
    """The newest checkpoint, or the one of this size; NothingSealed where there is none."""
    if not size:
        found = checkpoint.latest()
    elif size.isascii() and size.isdigit() and len(size) < 19:
        found = Checkpoint.objects.filter(size=int(size)).first()
    else:
        raise Invalid(f"{undone}: a checkpoint is a number.", errors=_at("checkpoint", "is no number"))
    if found is None:
        raise NothingSealed(f"{undone}: there is no such signed checkpoint yet.")
    return found


def _at(name: str, words: str) -> list[dict[str, str]]:
    return [{"pointer": f"/{name}", "detail": words}]


def evidence(report: Report, key: str, *, by: Actor) -> Sheet:
    """The evidence of one control test as a sheet; that it left the house is recorded."""
    tested = report.of(control(key).id)
    manifest = {
        "control": tested.control.id,
        "version": tested.control.version,
        "definition": tested.control.digest,
        "result": tested.result,
        "counts": tested.counts,
        **{name: value for name, value in report.plain().items() if name in ("checkpoint", "scope")},
    }
    made = sheet.write(HEADER, (_cells(row) for row in tested.rows), manifest=manifest)
    with transaction.atomic():
        record(
            "report.exported", of=None, subject=tested.control.id, actor=by, **manifest,
            rows=made.count, digest=made.digest,
        )  # fmt: skip
    return made


HEADER = (
    "result", "reason", "words", "deviation", "run", "change", "service", "environment", "requester",
    "requester_actor", "approvers", "approver_actors", "requested_at", "approved_at", "started_at", "digest",
    "workflow_digest", "policy_decision", "index", "permit_index", "permit_checkpoint", "approval_indexes", "kind",
    "item", "at",
)  # fmt: skip


def _cells(row: Mapping[str, Any]) -> list[object]:
    """In the order of the header; several values of one cell stand side by side."""
    values = (row[name] for name in HEADER)
    return [" ".join(map(str, value)) if isinstance(value, list) else value for value in values]
