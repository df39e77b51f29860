"""What every report is made of: the control tests over one scope, the facts behind them, and who asked.

Read from sealed entries alone, up to one checkpoint. It must never read a table of the product but for the names of
people, which no entry holds.
"""

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import IO, Any

from audit.controls import evaluate
from audit.controls.catalogue import Control
from audit.controls.evaluate import Report, Scope, Tested
from audit.controls.facts import Facts, SignOff
from audit.models import Checkpoint
from audit.progress import Tell, watched
from audit.reports import manifest
from audit.reports.frameworks import belongs

JUDGED = (
    "result",
    "reason",
    "words",
    "deviation",
)  # of a row of evidence: what a test found; the rest is the item


Key = tuple[str, int, str]


@dataclass(frozen=True)
class Made:
    """A finished file, and what its entry in the ledger says of it."""

    file: IO[bytes]
    name: str
    content_type: str
    rows: int
    told: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Material:
    """One scope under one checkpoint."""

    signed: Checkpoint
    scope: Scope
    framework: str
    by: str  # the pseudonym of whoever asked
    made_at: str
    facts: Facts
    tell: Tell = bool  # hears that it goes on while files are written, and may stop it

    @cached_property
    def report(self) -> Report:
        """Every control test that belongs to the framework."""
        whole = evaluate.report(self.facts, self.signed, self.scope)
        chosen = [one for one in whole.tested if belongs(one.control, self.framework)]
        return Report(whole.checkpoint, whole.scope, chosen)

    @cached_property
    def items(self) -> list[dict[str, Any]]:
        """The population: each item once, as the log has it, whichever tests looked at it."""
        return list(self._numbered.values())

    @cached_property
    def _numbered(self) -> dict[Key, dict[str, Any]]:
        found: dict[Key, dict[str, Any]] = {}
        for one in self.report.tested:
            for row in one.rows:
                key = _identity(row)
                if key not in found:
                    item = {name: value for name, value in row.items() if name not in JUDGED}
                    found[key] = {"no": len(found) + 1, **item}
        return found

    def results(self) -> Iterator[tuple[Control, int, dict[str, Any]]]:
        """What each test found about each item: the test, the number of the item, the row of evidence."""
        rows = ((one, row) for one in self.report.tested for row in one.rows)
        for one, row in watched(rows, lambda _: self.tell(self.signed.size)):
            yield one.control, self._numbered[_identity(row)]["no"], row

    def exceptions(self) -> Iterator[tuple[Control, int, dict[str, Any]]]:
        """The same of what did not simply pass."""
        return (one for one in self.results() if one[2]["result"] not in ("pass", "na"))

    @cached_property
    def given(self) -> dict[int, SignOff]:
        """Each sign-off by its place in the log."""
        return {one.given.index: one for one in self.facts.given.values()}

    @property
    def query(self) -> str:
        """The filter as text."""
        plain = self.scope.plain()
        asked = [f"{name}:{value}" for name, value in plain.items() if value]
        return " ".join([*asked, *([f'framework:"{self.framework}"'] if self.framework else [])])

    def head(self) -> dict[str, Any]:
        """What an auditor asks of a list: from where, of what, by which definitions, how many, by whom, when."""
        places = [item["index"] for item in self.items if isinstance(item.get("index"), int)]
        said = manifest.head(
            "control tests", signed=self.signed, query=self.query, by=self.by, at=self.made_at
        )
        return {
            **said, "root": bytes(self.signed.root).hex(), "scope": self.scope.plain(),
            "framework": self.framework or None, "report_digest": self.report.digest, "rows": len(self.items),
            "min_index": min(places, default=None), "max_index": max(places, default=None),
            "totals": dict(Counter(str(item["kind"]) for item in self.items)),
            "controls": [_told(one) for one in self.report.tested],
        }  # fmt: skip


def gather(
    signed: Checkpoint, scope: Scope, *, framework: str = "", by: str, made_at: str, tell: Tell
) -> Material:
    """Read every entry under the checkpoint once; `tell` hears how many were read, and may stop it."""
    facts = evaluate.read(signed, tell)
    return Material(signed, scope, framework, by, made_at, facts, tell)


def new_file() -> IO[bytes]:
    """Without a name: nobody else opens it, and it goes with the process."""
    return tempfile.TemporaryFile()


def _identity(row: Mapping[str, Any]) -> Key:
    """Of which kind, and its place in the log; several items may stand at one place."""
    return str(row.get("kind")), row["index"], str(row.get("item") or row.get("run"))


def _told(one: Tested) -> dict[str, Any]:
    return {
        "id": one.control.id, "version": one.control.version, "definition": one.control.digest,
        "result": one.result, "population": one.population, "counts": one.counts,
    }  # fmt: skip
