"""The gate with 10,000 changes waiting beside the one that starts. Needs a migrated database of its own.

The control is the same gate over the same kind of changes before the others were there.
"""

import time
from collections.abc import Callable
from typing import Any

from django.db import connection, transaction

from approvals import demand, gate
from benchmarks.row import Row, spread, times
from orchestration.models import Change
from tests.audit.log import sequence
from tests.factories import Bank
from tests.orchestration.deeds import claimed

WAITING = 10_000
STARTS = 100
WARM = 10
# Each table of a waiting change: which of its columns name rows that are copied with it.
COPIED = {
    "approvals_chain": ("id",),
    "approvals_stage": ("id", "chain_id"),
    "approvals_signoff": ("id", "chain_id", "stage_id"),
    "orchestration_revision": ("id", "change_id", "chain_id"),
    "orchestration_change": ("id", "revision_id"),
}


def run() -> list[Row]:
    """Controls included."""
    bank = Bank()
    few = _starts(bank)
    pattern = bank.change()
    bank.say(pattern, "jonas")
    _copy(Change.objects.get(pk=pattern.pk), WAITING)
    assert Change.objects.filter(state="waiting").count() > WAITING
    many = _starts(bank)
    rows: list[Row] = []
    for name, waits in many.items():
        rows += spread(f"{name}, {WAITING:,} changes waiting", waits)
        rows.append(Row(f"{name}, {WAITING:,} changes waiting, 99th percentile", _at(waits, 99) * 1000, "ms"))
        rows += spread(f"{name}, none waiting (control)", few[name])
        rows.append(times(f"{name} against the control, median", _at(waits, 50), _at(few[name], 50)))
    return rows


def _at(waits: list[float], percent: int) -> float:
    return sorted(waits)[len(waits) * percent // 100]


def _starts(bank: Bank) -> dict[str, list[float]]:
    """Seconds of each first start: all of the claim, and in it the worker's own question and the gate."""
    waits: dict[str, list[float]] = {"claim of a first step": [], "policy asked again": [], "gate": []}
    judge, authorise = demand.judge, gate.authorise
    demand.judge = _timed(judge, waits["policy asked again"])
    gate.authorise = _timed(authorise, waits["gate"])
    try:
        for _ in range(WARM + STARTS):
            step = bank.approved().runs.get().steps.get()
            sequence()  # nobody else seals this log, and the gate looks whether it keeps up
            _timed(claimed, waits["claim of a first step"])(step)
    finally:
        demand.judge, gate.authorise = judge, authorise
    assert all(len(one) == WARM + STARTS for one in waits.values())
    return {name: found[WARM:] for name, found in waits.items()}


def _timed(act: Callable[..., Any], waits: list[float]) -> Callable[..., Any]:
    def timed(*given: Any, **named: Any) -> Any:
        began = time.perf_counter()
        found = act(*given, **named)
        waits.append(time.perf_counter() - began)
        assert found is not None
        return found

    return timed


def _copy(change: Change, count: int) -> None:
    """So many of this change, with chain and sign-off: rows as they are, without the hours that asking would take."""
    assert change.revision is not None
    chain = change.revision.chain_id
    of = {"approvals_chain": f"id = '{chain}'", "orchestration_change": f"id = '{change.pk}'"}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        for table, own in COPIED.items():
            cursor.execute(
                "SELECT column_name FROM information_schema.columns WHERE table_name = %s", [table]
            )
            columns = [row[0] for row in cursor.fetchall()]
            values = ", ".join(_value(column, own) for column in columns)
            where = of.get(table, f"chain_id = '{chain}'")
            cursor.execute(
                f"INSERT INTO {table} ({', '.join(map(_quoted, columns))}) SELECT {values}"  # noqa: S608 - our names
                f" FROM {table} AS t, generate_series(1, {count}) AS g(n) WHERE t.{where}"
            )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def _value(column: str, own: tuple[str, ...]) -> str:
    if column in own:
        return f"md5(t.{column}::text || g.n)::uuid"
    return (
        "nextval('orchestration_change_number')"
        if column == "number" and "revision_id" in own
        else f"t.{_quoted(column)}"
    )


def _quoted(column: str) -> str:
    return f'"{column}"'
