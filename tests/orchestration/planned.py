"""A workflow that plans first: the plan is a file's lines as they would be, the apply step writes exactly them."""

from pathlib import Path
from typing import Any

from audit.canonical import parse
from audit.models import Entry
from orchestration import asking, changes, planning
from orchestration.engine.nodes import Node
from orchestration.engine.work import work
from orchestration.models import Change, LogChunk, Plan, Run, Step

PLANNED = """
apiVersion: countersign.dev/v1
kind: Workflow
metadata: {name: deploy, title: Deploy, owner: payments}
spec:
  summary: Deploy {{service}} {{version}} to {{environment}}
  inputs:
    version: {type: string, pattern: '^[0-9]+([.][0-9]+)*$', title: Version}
    place: {type: string, title: Folder}
  environments: [staging, production]
  steps:
    look:
      phase: plan
      uses: command
      with: {argv: [./look.sh, "{{inputs.place}}", "{{inputs.version}}"]}
    write:
      needs: [look]
      uses: command
      with: {argv: [./write.sh, "{{inputs.place}}"]}
"""
LOOK = """#!/bin/sh
set -eu
test ! -e "$1/broken" || { echo "The place cannot be read." > "$STEP_REASON"; exit 1; }
{ cat "$1/now" 2>/dev/null || true; echo "version $2"; } > "$STEP_ARTIFACTS/next"
test ! -e "$1/summary" || cp "$1/summary" "$STEP_ARTIFACTS/summary.json"
echo "$STEP_PHASE"
"""
WRITE = """#!/bin/sh
set -eu
cp "$STEP_PLANS/look/next" "$1/next"
echo "$STEP_PHASE $(cat "$1/next" | tr '\\n' ' ')"
"""
FILES = {"look.sh": LOOK, "write.sh": WRITE}


def work_all() -> None:
    """A worker takes every step that is ready and what follows, and settles every plan that has found something."""
    node = Node()
    node.register()
    for step in Step.objects.filter(state="ready"):
        work(step.pk, node=node)
    planning.sweep()


def fresh(change: Any) -> Any:
    """As it is now; whoever asks knows whether it has a revision."""
    return Change.objects.select_related("revision__chain").get(pk=change.pk)


def newest(change: Any) -> Plan:
    return Plan.objects.filter(change=change).latest("number")


def now(place: Path, text: str) -> None:
    """What stands there at this moment."""
    (place / "now").write_text(text)


def asked(bank, place, **changed):
    """A change whose plan steps have not looked yet."""
    return bank.change(inputs={"version": "42", "place": str(place)}, **changed)


def planned(bank, place, **changed):
    """The same once they have: it waits for people."""
    change = asked(bank, place, **changed)
    work_all()
    return fresh(change)


def approved(bank, place):
    change = planned(bank, place)
    bank.say(change, "jonas")
    bank.say(change, "noor")
    return fresh(change)


def edited(bank, change, version, place, **changed):
    inputs = {"version": version, "place": str(place)}
    again = asking.ask_again(fresh(change), inputs=inputs, reason="Other.", by=bank.people["mara"], **changed)
    return changes.revise(fresh(change), again)


def printed():
    return b"".join(bytes(one.data or b"") for one in LogChunk.objects.order_by("pk")).decode()


def told(kind):
    """The data of each entry of this kind."""
    return [parse(bytes(one.body))["data"] for one in Entry.objects.filter(kind=kind).order_by("id")]


def wait(change):
    """Let what is approved not start by itself while the test looks at something else."""
    Step.objects.filter(run__change=change, run__plan=None, state="ready").update(
        not_before="2100-01-01T00:00Z"
    )


def applying(change) -> Step:
    """The first step of what was agreed to."""
    return Step.objects.filter(run__in=Run.objects.applying().filter(change=change)).earliest("position")
