"""The events of an Ansible run, read as they come: lines for the log, counts, what changed, and why it failed.

Knows Ansible's vocabulary and nothing of how it is started.
"""

import json
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from orchestration.actions import summary
from orchestration.actions.summary import Act, Planned

COUNTED = {
    "ok": "ok",
    "changed": "changed",
    "failed": "failures",
    "unreachable": "dark",
    "skipped": "skipped",
}
NOT_CHECKED = "check mode"  # what modules that cannot look ahead say when they are skipped
FAILED = {"runner_on_failed", "runner_item_on_failed", "runner_on_unreachable"}


class Watch:
    """Called with each event."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say
        self.why = ""
        self.stats: Mapping[str, Mapping[str, int]] = {}
        self.planned: list[Planned] = []
        self.tasks: list[dict[str, Any]] = []

    def __call__(self, event: Mapping[str, Any]) -> bool:
        for line in str(event.get("stdout", "")).splitlines():
            self.say(line)
        data = event.get("event_data", {})
        kind, result = event["event"], data.get("res") or {}
        if kind == "runner_on_skipped" and not result:
            result = _shown(str(event.get("stdout", "")))
        if kind == "playbook_on_stats":
            self.stats = data
        elif kind in FAILED and not data.get("ignore_errors"):
            if "results" not in result or not self.why:  # the items of a loop have told it already
                self.why = f"{_task(data)}: {_message(result)}"[:1000]
        elif "results" not in result and kind.endswith(("_on_ok", "_on_skipped")):
            self._note(data, result)
        return False  # nothing is kept on disk: the log has it

    def _note(self, data: Mapping[str, Any], result: Mapping[str, Any]) -> None:
        unseen = NOT_CHECKED in str(result.get("msg", ""))
        if not unseen and not result.get("changed"):
            return
        differences = list(_differences(result))
        outcome = "not checked" if unseen else "changed"
        told = {"host": data.get("host"), "play": data.get("play"), "task": data.get("task")}
        module = data.get("resolved_action") or data.get("task_action")
        self.tasks.append({**told, "module": module, "outcome": outcome, "diff": differences})
        what = f"{_task(data)}{_item(result)}"
        if unseen:
            self.planned.append(Planned(what, "run", after=_command(result), diff=str(result.get("msg", ""))))
        else:
            self.planned += [_planned(what, one) for one in differences or [{}]]

    def counts(self) -> dict[str, int]:
        """How many tasks ended how, over all hosts."""
        return {name: sum(self.stats.get(theirs, {}).values()) for name, theirs in COUNTED.items()}

    def leave(self, folder: Path) -> None:
        """The artifacts of a plan."""
        found = {"v": 1, "counts": self.counts(), "tasks": self.tasks}
        (folder / "check.json").write_text(json.dumps(found, indent=1), "utf-8")
        summary.leave(folder, self.planned)


def _command(result: Mapping[str, Any]) -> str:
    command = result.get("cmd") or ""
    return command if isinstance(command, str) else shlex.join(map(str, command))


def _planned(what: str, difference: Mapping[str, Any]) -> Planned:
    before, after = difference.get("before"), difference.get("after")
    diff = difference.get("prepared") or summary.unified(before, after)
    return Planned(what, _act(before, after), before=before, after=after, diff=diff)


def _act(before: Any, after: Any) -> Act:
    was, becomes = (one.get("state") if isinstance(one, Mapping) else None for one in (before, after))
    if becomes == "absent":
        return "delete"
    return "create" if was == "absent" or (before == "" and after) else "update"


def _differences(result: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    found = result.get("diff") or []
    for one in found if isinstance(found, list) else [found]:
        if isinstance(one, Mapping) and (one.get("prepared") or one.get("before") != one.get("after")):
            yield one


def _shown(stdout: str) -> Mapping[str, Any]:
    """The result of a skipped task, which comes in no other way than as it is shown."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", stdout).partition(" => ")[2]
    try:
        found = json.loads(plain)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _task(data: Mapping[str, Any]) -> str:
    return f"{data.get('task') or 'A task'} on {data.get('host') or 'a host'}"


def _item(result: Mapping[str, Any]) -> str:
    label = result.get("_ansible_item_label", result.get("item"))
    return "" if label is None else f" ({str(label)[:100]})"


def _message(result: Mapping[str, Any]) -> str:
    said = result.get("msg") or result.get("stderr") or result.get("module_stderr") or "it failed"
    return (said if isinstance(said, str) else json.dumps(said)).strip()
