"""docs/reference/entries.md tells every kind of entry that the code writes, and the data that it carries."""

import ast
import re
from pathlib import Path

import pytest

from approvals.models import Chain, Passkey
from audit.canonical import parse
from audit.models import Entry
from orchestration import planning
from orchestration.lifecycle import MOVES, RUN_MOVES, STEP_MOVES
from orchestration.models import WorkflowVersion
from tests.factories import Bank as Planning
from tests.orchestration.bank import Bank
from tests.orchestration.planned import FILES, PLANNED, edited, now, planned, work_all

ROOT = Path(__file__).resolve().parents[2]
APPS = ("accounts", "approvals", "audit", "config", "orchestration")
# Functions that hand a kind on to record(), and so are called with one.
WRITERS = {
    "record",
    "record_all",
    "_record",
    "touch",
    "touch_run",
    "_announce",
    "_create",
    "_edit",
    "_record_version",
}
KIND = re.compile(r"[a-z_]+\.[a-z_]+")
SECTION = re.compile(r"^### (\S+)\n\n.*?\n\nData: (.*?)\.\n", re.MULTILINE | re.DOTALL)


def reference():
    text = (ROOT / "docs/reference/entries.md").read_text("utf-8")
    return {kind: set(re.findall(r"`(\w+)`", data)) for kind, data in SECTION.findall(text)}


def called(call):
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def literal_kinds():
    """Every kind that stands as a text in a call of a writer."""
    calls = (
        node
        for app in APPS
        for path in (ROOT / app).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and called(node) in WRITERS
    )
    texts = (one.value for call in calls for one in call.args if isinstance(one, ast.Constant))
    return {text for text in texts if isinstance(text, str) and KIND.fullmatch(text)}


def kinds_of_moves():
    """What the tables of moves lead to: one kind for each state that can be reached."""
    told = {f"change.{to}" for states in MOVES.values() for to in states}
    told |= {f"run.{to}" for states in RUN_MOVES.values() for to in states}
    told |= {f"step.{to}" for states in STEP_MOVES.values() for to in states}
    told |= {f"workflow_version.{state}" for state in WorkflowVersion.State if state != "waiting"}
    told |= {f"passkey.{state}" for state in Passkey.State}
    told |= {f"{kind}.{verb}" for kind in ("freeze", "window") for verb in ("created", "edited", "lifted")}
    words = {Chain.State.OPEN: "reopened", Chain.State.COMPLETE: "completed"}
    return told | {f"chain.{words.get(state, state)}" for state in Chain.State}


def test_every_kind_has_its_heading_and_no_heading_is_left_over():
    written = literal_kinds() | kinds_of_moves()
    assert set(reference()) - written == set(), "headings of kinds that nothing writes"
    assert written - set(reference()) == set(), "kinds without a heading"


def committed():
    """The names of what record() is told to commit to: `reason=Erasable(...)`, or the same in a dictionary."""
    for app in APPS:
        for path in (ROOT / app).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                pairs = [(node.arg, node.value)] if isinstance(node, ast.keyword) else []
                if isinstance(node, ast.Dict):
                    keys = [getattr(key, "value", None) for key in node.keys]
                    pairs = list(zip(keys, node.values, strict=True))
                yield from (
                    name for name, one in pairs if isinstance(one, ast.Call) and called(one) == "Erasable"
                )


def test_the_page_lists_everything_to_which_an_entry_only_commits():
    text = (ROOT / "docs/reference/entries.md").read_text("utf-8")
    section = text.partition("## What an entry only commits to")[2].partition("What stays in the entry")[0]
    lines = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    told = {name for line in lines for name in re.findall(r"`(\w+)`", line)}
    assert told == set(committed())


@pytest.mark.django_db(transaction=True)
def test_a_change_that_ran_wrote_only_data_that_is_told():
    bank = Bank()
    change = bank.change()
    bank.say(change, "jonas", "Service owner")
    bank.say(change, "noor", "Security")
    bank.run()
    told = reference()
    seen = {entry.kind: set(parse(bytes(entry.body))["data"]) for entry in Entry.objects.all()}
    assert {"change.requested", "sign_off.given", "permit.issued", "run.running", "change.succeeded"} <= set(
        seen
    )
    assert {kind: data - told[kind] for kind, data in seen.items() if data - told[kind]} == {}


@pytest.mark.django_db(transaction=True)
def test_a_change_that_was_planned_twice_wrote_only_data_that_is_told(tmp_path):
    now(tmp_path, "version 41\n")
    bank = Planning(PLANNED, FILES)
    change = planned(bank, tmp_path)
    now(tmp_path, "version 41.5\n")
    planning.again(change, by=bank.people["mara"])
    work_all()
    edited(bank, change, "43", tmp_path)
    told = reference()
    seen = [(entry.kind, set(parse(bytes(entry.body))["data"])) for entry in Entry.objects.all()]
    kinds = {kind for kind, _ in seen}
    assert {"plan.asked", "artifact.kept", "plan.settled", "change.draft", "permit.issued"} <= kinds
    assert [(kind, data - told[kind]) for kind, data in seen if data - told[kind]] == []
