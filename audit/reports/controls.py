"""What is asked of a control report, and its evidence as a file. Each export is itself an entry."""

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from audit.controls.catalogue import control
from audit.controls.environments import is_known
from audit.controls.evaluate import Report, Scope, evaluate, known
from audit.ledger import checkpoint
from audit.ledger.entry import Actor
from audit.ledger.record import record
from audit.models import Checkpoint
from audit.refusals import Invalid, NotFound
from audit.reports import sheet
from audit.reports.frameworks import chosen
from audit.reports.period import period
from audit.reports.sheet import Sheet


class NothingSealed(NotFound):
    """There is no signed checkpoint, so there is nothing to test."""

    code = "nothing_sealed"


def scope(
    asked: Mapping[str, str], *, undone: str = "Nothing was tested", under: Checkpoint | None = None
) -> Scope:
    """The period `[from, to)` and the environment that were asked for; Invalid when they cannot be read.

    `under`: and when the ledger tells of no such environment. A framework that was asked for is looked at as well.
    """
    errors, start, end = list[dict[str, str]](), None, None
    try:
        start, end = period(asked, undone=undone)
    except Invalid as fault:
        errors += fault.errors
    try:
        chosen(asked.get("framework", ""), undone=undone)
    except Invalid as fault:
        errors += fault.errors
    place = asked.get("environment", "")
    if place and under is not None and not is_known(place, under):
        errors += _at("environment", f"There is no environment {place!a:.60} in the ledger.")
    if errors:
        raise Invalid(f"{undone}: {' '.join(one['detail'] for one in errors)}", errors=errors)
    return Scope(start, end, place)


def asked_report(asked: Mapping[str, str]) -> Report:
    """The report for a period, an environment and a checkpoint (the newest, unless its size is given)."""
    signed = asked_checkpoint(asked.get("checkpoint", ""))
    return evaluate(signed, scope(asked, under=signed))


def asked_checkpoint(size: str, *, undone: str = "Nothing was tested") -> Checkpoint:
    """The newest checkpoint, NothingSealed where there is none; or the one of this size."""
    if not size:
        newest = checkpoint.latest()
        if newest is None:
            raise NothingSealed(f"{undone}: no checkpoint is signed yet.")
        return newest
    number = int(size) if size.isascii() and size.isdigit() and len(size) < 19 else 0
    found = Checkpoint.objects.filter(size=number).first()
    if found is None:
        words = f"No checkpoint of {size!a:.40} entries was signed."
        raise Invalid(f"{undone}: {words}", errors=_at("checkpoint", words))
    return found


def open_exceptions(signed: Checkpoint) -> int:
    """How many exceptions from control tests stood when the newest entry under it was written."""
    facts = known(signed.size, bytes(signed.root))
    return sum(
        told.data["ends_at"] > facts.until and told.data["exception"] not in facts.ended
        for told in facts.exceptions.values()
    )


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
