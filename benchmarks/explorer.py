"""What a search costs, and how that grows with the log. Needs a migrated database of its own: it writes the log.

Each question is asked in a log of a fifth of the entries and in all of them. The control is the same question, put to
the same tables in one plain statement: the newest that fit.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import audit.verify
from audit import search
from audit.ledger import checkpoint, export
from audit.pages import integrity, proving, told
from audit.search.grammar import Term
from benchmarks.history import History
from benchmarks.row import Row, times

ENTRIES = int(os.environ.get("BENCH_ENTRIES", "1000000"))
ASKED = 15  # times each; the middle one counts
PAGE = 50
QUESTIONS = {
    "the newest page": "",
    "a kind that is rare": "outcome:refused",
    "kinds of the first days": "type:team.*",
    "who did what": 'actor:"Person 7"',
    "a person of another kind": 'actor:"Person 7" type:team.joined',
    "a change": "change:CHG-77",
    "a period long ago": "after:2023-01-10 before:2023-02-10 outcome:refused",
    "a kind after its time": "after:2023-02-10 type:team.joined",
    "a word that is not there": "nowhere-to-be-found",
}


def run() -> list[Row]:
    """Controls included."""
    history = History()
    small, few = _grown(history, ENTRIES // 5)
    large, many = _grown(history, ENTRIES)
    rows = [*few, *many]
    for name in QUESTIONS:
        rows.append(times(f"{name}: cost in five times the entries", large[name][0], small[name][0]))
        rows.append(times(f"{name}: the same of the control", large[name][1], small[name][1]))
    return [*rows, *_offline()]


def _grown(history: History, size: int) -> tuple[dict[str, tuple[float, float]], list[Row]]:
    """Milliseconds of each question and of its control in a log of this size, and the rows that tell them."""
    before, began = history.size, time.perf_counter()
    history.grow(size)
    rows = [
        Row(
            f"entries written for this, up to {size}",
            (size - before) / (time.perf_counter() - began),
            "per second",
        )
    ]
    took = {name: _asked(search.parse(question)) for name, question in QUESTIONS.items()}
    for name, (ours, control) in took.items():
        rows.append(Row(f"{name}, of {size} entries", ours, "ms"))
        rows.append(Row(f"{name}, of {size} entries (control)", control, "ms"))
    rows.append(Row(f"the state of the log on every page, of {size} entries", _middle(integrity.look), "ms"))
    leaf = search.page([], size=1).rows[0]
    rows.append(Row(f"proof of an entry, of {size} entries", _middle(lambda: proving.of_leaf(leaf)), "ms"))
    return took, rows


def _asked(terms: list[Term]) -> tuple[float, float]:
    def page() -> None:
        rows = search.page(terms, size=PAGE).rows
        names = told.names_of(rows)
        for leaf in rows:
            told.told(leaf, names)

    return _middle(page), _middle(lambda: list(search.find(terms)[:PAGE]), number=3)


def _middle(act: Callable[[], object], *, number: int = ASKED) -> float:
    took = []
    for _ in range(number):
        began = time.perf_counter()
        act()
        took.append(time.perf_counter() - began)
    return sorted(took)[number // 2] * 1000


def _offline() -> list[Row]:
    """The whole of it again, by the stand-alone verifier on an export."""
    with tempfile.TemporaryDirectory() as folder:
        size = export.write(Path(folder)).size
        command = [sys.executable, "-I", str(audit.verify.__file__), "export", folder]
        began = time.perf_counter()
        subprocess.run([*command, "--key", str(checkpoint.verifier())], check=True, capture_output=True)
        took = time.perf_counter() - began
    return [
        Row(f"{size} entries verified offline", took, "s"),
        Row("entries verified offline", size / took, "per second"),
    ]
