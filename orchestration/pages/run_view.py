"""What a page shows of a run: its steps, its graph and the log of the step that matters most."""

from typing import Any

from orchestration.engine.plan import Planned, planned
from orchestration.models import Plan, Revision, Run, Step

OPEN_NOW = {Step.State.RUNNING, Step.State.FAILED, Step.State.TIMED_OUT, Step.State.UNKNOWN}


def context(run: Run | None, revision: Revision | Plan, chosen: str = "") -> dict[str, Any]:
    """`graph` for the DAG, `steps` for the table, `log` for the viewer; before a start the plan's own graph."""
    if run is None:
        graph = [_planned(step) for step in planned(revision)]
        return {"graph": graph, "steps": [], "unknown": [], "log": None, "done": 0}
    steps = list(run.steps.order_by("position").prefetch_related("attempts"))
    shown = _step_to_show(steps, chosen)
    return {
        "graph": [_node(run, step) for step in steps],
        "steps": [_row(run, step) for step in steps],
        "unknown": [step for step in steps if step.state == Step.State.UNKNOWN],
        "log": log(run, shown) if shown else None,
        "result_url": _result(steps),
        "done": sum(step.state == Step.State.SUCCEEDED for step in steps),
    }


def log(run: Run, step: Step) -> dict[str, Any]:
    """The context of templates/components/log.html for one step."""
    url = f"/runs/{run.key}/steps/{step.key}/log/"
    return {
        "url": url,
        "title": step.title or step.key,
        "state": step.state,
        "topic": f"run:{run.pk}",
        "active": run.state in {Run.State.READY, Run.State.RUNNING},
        "raw_url": f"/runs/{run.key}/steps/{step.key}/log.txt",
        "after": 0,
    }


def _step_to_show(steps: list[Step], chosen: str) -> Step | None:
    """The chosen one, else the first that runs or failed, else the last that ended."""
    named = [step for step in steps if step.key == chosen]
    open_now = [step for step in steps if step.state in OPEN_NOW]
    ended = [step for step in steps if step.ended_at]
    return next(iter([*named, *open_now, *reversed(ended)]), None)


def _result(steps: list[Step]) -> str:
    """A page of this site that a step says it has changed; anything else is not linked."""
    pages = [str(step.outputs.get("page", "")) for step in steps]
    return next((page for page in pages if page.startswith("/") and not page.startswith("//")), "")


def _planned(step: Planned) -> dict[str, Any]:
    return {
        "key": step.key,
        "title": step.spec.get("title") or step.key,
        "needs": step.columns["needs"],
        "note": step.spec["uses"],
    }


def _node(run: Run, step: Step) -> dict[str, Any]:
    return {
        "key": step.key,
        "title": step.title or step.key,
        "state": step.state,
        "needs": step.needs,
        "url": f"/runs/{run.key}/?step={step.key}",
        "note": "",
    }


def _row(run: Run, step: Step) -> dict[str, Any]:
    attempts = list(step.attempts.all())
    last = attempts[-1] if attempts else None
    took = (step.ended_at - step.started_at).total_seconds() if step.ended_at and step.started_at else None
    return {
        "step": step,
        "url": f"/runs/{run.key}/?step={step.key}",
        "took": took,
        "exit_code": last.exit_code if last else None,
        "reason": last.reason if last else "",
        "outputs": step.outputs,
    }
