"""Control tests over the whole population up to one checkpoint: the same checkpoint gives the same bytes."""

import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, overload

from audit.canonical import canonical, digest_of_pieces
from audit.controls.catalogue import Control, controls
from audit.controls.facts import Facts, fold, uncollected
from audit.controls.items import Item, Judgement
from audit.controls.judgements import judge
from audit.controls.populations import Population, Scope
from audit.controls.seals import seals
from audit.ledger.export import numbered
from audit.models import Checkpoint
from audit.progress import Tell, watched

__all__ = ["RESULTS", "Report", "Scope", "Tested", "evaluate", "known", "report", "verdict"]

RESULTS = ("pass", "fail", "exception", "na", "indeterminate")
BAD = ("fail", "indeterminate")
READ_AGAIN = 600  # seconds after which the sealed bytes are read anew: they could have been altered meanwhile
Row = dict[str, Any]
EMPTY: Row = {
    "run": None, "change": None, "service": None, "environment": None, "requester": None, "requester_actor": None,
    "approvers": [], "approver_actors": [], "requested_at": None, "approved_at": None, "started_at": None,
    "digest": None, "workflow_digest": None, "policy_decision": None, "permit_index": None,
    "permit_checkpoint": None, "approval_indexes": [],
}  # fmt: skip


class Rows(Sequence[Row]):
    """The evidence of one control test, each row made when it is looked at: there may be a million."""

    def __init__(self, items: Sequence[Item], judgements: Sequence[Judgement]) -> None:
        self._items, self._judgements = items, judgements

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, at: int) -> Row: ...
    @overload
    def __getitem__(self, at: slice) -> list[Row]: ...
    def __getitem__(self, at: int | slice) -> Row | list[Row]:
        if isinstance(at, slice):
            return [self[one] for one in range(*at.indices(len(self)))]
        return _row(self._items[at], self._judgements[at])

    def __iter__(self) -> Iterator[Row]:
        return map(_row, self._items, self._judgements)


@dataclass(frozen=True)
class Tested:
    """One control test's outcome."""

    control: Control
    result: str
    counts: dict[str, int]
    rows: Sequence[Row]
    bad: Counter[str] = field(default_factory=Counter)  # by name, the items that failed or cannot be told

    @property
    def population(self) -> int:
        return len(self.rows)

    def plain(self) -> dict[str, Any]:
        return {**self.summary(), "rows": list(self.rows)}

    def summary(self) -> dict[str, Any]:
        """All but the rows."""
        return {
            "id": self.control.id,
            "version": self.control.version,
            "definition": self.control.digest,
            "result": self.result,
            "population": self.population,
            "counts": self.counts,
        }


@dataclass(frozen=True)
class Report:
    """All control tests over one scope, under one checkpoint."""

    checkpoint: Checkpoint
    scope: Scope
    tested: list[Tested]

    def of(self, control: str) -> Tested:
        """The outcome of one control test."""
        return next(one for one in self.tested if one.control.id == control)

    def plain(self) -> dict[str, Any]:
        root = bytes(self.checkpoint.root).hex()
        return {
            "v": 1,
            "checkpoint": {"size": self.checkpoint.size, "root": root},
            "scope": self.scope.plain(),
            "controls": [one.plain() for one in self.tested],
        }

    def bytes(self) -> bytes:
        """The one spelling of this report: the canonical form of `plain()`."""
        return b"".join(_pieces(self))

    @cached_property
    def digest(self) -> str:
        """Of those bytes, which may be more than fit into memory."""
        return digest_of_pieces("countersign/control-report/v1", _pieces(self))


def _pieces(report: Report) -> Iterator[bytes]:
    """Keys in their order, a row at a time."""
    told = Report(report.checkpoint, report.scope, []).plain()
    yield b'{"checkpoint":%b,"controls":[' % canonical(told["checkpoint"])
    for number, one in enumerate(report.tested):
        begin, end = canonical({**one.summary(), "rows": []}).split(b'"rows":[]')
        yield (b"," if number else b"") + begin + b'"rows":['
        for at, row in enumerate(one.rows):
            yield (b"," if at else b"") + _spelled(row)
        yield b"]" + end
    yield b'],"scope":%b,"v":%d}' % (canonical(told["scope"]), told["v"])


def evaluate(checkpoint: Checkpoint, scope: Scope) -> Report:
    """Every control test over everything in scope."""
    return _evaluate(checkpoint, bytes(checkpoint.root), scope, _period())


@lru_cache(maxsize=8)
def _evaluate(checkpoint: Checkpoint, root: bytes, scope: Scope, period: int) -> Report:
    return report(_known(checkpoint.size, root, period), checkpoint, scope)


def report(facts: Facts, checkpoint: Checkpoint, scope: Scope) -> Report:
    """The same from facts that are folded already."""
    population = Population(facts, scope)
    with uncollected():
        tested = [_test(control, population.of(control.kind), facts) for control in controls().values()]
    return Report(checkpoint, scope, tested)


def known(size: int, root: bytes) -> Facts:
    """The facts under one checkpoint: what is sealed never changes, so they may be kept for a while."""
    return _known(size, root, _period())


def _period() -> int:
    return int(time.monotonic()) // READ_AGAIN


@lru_cache(maxsize=2)
def _known(size: int, root: bytes, period: int) -> Facts:
    return fold(numbered(size), seals(size), size)


def read(checkpoint: Checkpoint, tell: Tell) -> Facts:
    """The same, read anew and not kept; `tell` hears how many entries were read."""
    size = checkpoint.size
    return fold(watched(numbered(size), tell), seals(size), size)


def _test(control: Control, items: list[Item], facts: Facts) -> Tested:
    judgements = [judge(control.id, one, facts) for one in items]
    counted: Counter[str] = Counter(one.result for one in judgements)
    counts = {result: counted[result] for result in RESULTS}
    bad = Counter(one.name for one, found in zip(items, judgements, strict=True) if found.result in BAD)
    return Tested(control, verdict(counts), counts, Rows(items, judgements), bad)


def verdict(counts: dict[str, int]) -> str:
    """The result of a test; nothing tested is never a success."""
    if counts["fail"] or counts["indeterminate"]:
        return "not_effective"
    if counts["exception"]:
        return "effective_with_exceptions"
    return "effective" if counts["pass"] else "not_tested"


def _spelled(row: Row) -> bytes:
    """The canonical bytes of a row: flat, its keys ours, its values out of the log; so the encoder alone may do it."""
    return json.dumps(row, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()


def _row(one: Item, judgement: Judgement) -> Row:
    """The evidence of one item, of the same columns whatever it is; what only executions have is null in others."""
    return {
        "result": judgement.result,
        "reason": judgement.reason,
        "words": judgement.words,
        "deviation": judgement.deviation or None,
        "kind": one.kind,
        "item": one.name,
        "at": one.time,
        "index": one.index,
        **EMPTY,
        **one.evidence,
    }
