"""What a plan step tells a reviewer: `summary.json` among its artifacts, the riskiest first. Pure but for one file.

Every action that can plan tells it in the same words, so that one page shows them all.
"""

import difflib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Risk = Literal["high", "medium", "low"]
Act = Literal["create", "update", "replace", "delete", "run"]  # run: what it does cannot be told beforehand
ORDER: dict[Risk, int] = {"high": 0, "medium": 1, "low": 2}
RISKS: dict[Act, Risk] = {
    "create": "low",
    "update": "medium",
    "replace": "high",
    "delete": "high",
    "run": "high",
}
MOST = 10_000  # changes that one summary tells
WHAT_CHARACTERS, VALUE_CHARACTERS = 500, 2_000
DIFF_CHARACTERS, ALL_CHARACTERS = 20_000, 1_000_000  # of one change and of all; other artifacts hold the rest


class TooMuch(Exception):
    """More than a person could review."""


@dataclass(frozen=True)
class Planned:
    """One thing that would be altered. `before` and `after` are left out where they are long: the diff tells them."""

    what: str
    action: Act
    before: Any = None
    after: Any = None
    diff: str = ""

    @property
    def risk(self) -> Risk:
        return RISKS[self.action]

    @property
    def irreversible(self) -> bool:
        return self.action in {"replace", "delete"}

    def told(self, *, room: int) -> dict[str, Any]:
        """As the summary tells it, its diff in at most `room` characters; what is not there is left out."""
        what = self.what if len(self.what) <= WHAT_CHARACTERS else f"{self.what[: WHAT_CHARACTERS - 3]}..."
        values = {"before": _short(self.before), "after": _short(self.after), "diff": _cut(self.diff, room)}
        kept = {name: text for name, text in values.items() if text}
        return {
            "what": what,
            "action": self.action,
            "risk": self.risk,
            "irreversible": self.irreversible,
            **kept,
        }


def leave(folder: Path, planned: Iterable[Planned]) -> None:
    """Write the summary, the riskiest first and otherwise in the order in which it would happen."""
    found = sorted(planned, key=lambda one: ORDER[one.risk])
    if len(found) > MOST:
        raise TooMuch(f"The plan has {len(found)} changes; at most {MOST} can be reviewed. Split it.")
    room = min(DIFF_CHARACTERS, ALL_CHARACTERS // max(1, len(found)))
    changes = [one.told(room=room) for one in found]
    (folder / "summary.json").write_text(json.dumps({"v": 1, "changes": changes}, indent=1), "utf-8")


def unified(before: Any, after: Any) -> str:
    """What differs, as lines with + and -; values that are no text are shown as JSON."""
    lines = difflib.unified_diff(_lines(before), _lines(after), "before", "after", lineterm="", n=3)
    return "\n".join(lines)


def _lines(value: Any) -> list[str]:
    if value is None:
        return []
    text = value if isinstance(value, str) else json.dumps(value, indent=2, sort_keys=True)
    return text.splitlines()


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else "" if value is None else json.dumps(value)
    return text if len(text) <= VALUE_CHARACTERS else ""


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else f"{text[:room]}\n... {len(text) - room} characters more"
