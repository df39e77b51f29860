"""What a page shows of a run: its steps, its graph and the log of the step that matters most."""

from typing import Any

from orchestration.engine.plan import Planned, planned
from orchestration.models import Plan, Revision, Run, Step
from orchestration.pages import log_view, way

OPEN_NOW = {
    Step.State.RUNNING,
    Step.State.ASKING,
    Step.State.FAILED,
    Step.State.TIMED_OUT,
    Step.State.UNKNOWN,
}


def context(
    run: Run | None, revision: Revision | Plan, chosen: str = "", first: int | None = None
) -> dict[str, Any]:
    """`graph` for the DAG, `steps` for the table, `log` for the viewer; before a start the plan's own graph.

    `first`: the line with which the page of the log begins for whoever has no script; None where it is not shown.
    """
    if run is None:
        coming = planned(revision)
        graph = way.graph(map(_planned, coming), {step.key: step.spec for step in coming})
        return {"graph": graph, "steps": [], "log": None, "done": 0}
    steps = list(run.steps.order_by("position").prefetch_related("attempts"))
    shown = _step_to_show(steps, chosen)
    specs = {step.key: step.spec for step in steps}
    return {
        "graph": way.graph((_node(run, step) for step in steps), specs),
        "steps": way.rows((_row(run, step) for step in steps), specs),
        "total": sum(step.state != Step.State.OMITTED for step in steps),
        "omitted": sum(step.state == Step.State.OMITTED for step in steps),
        "ended": _ended(run),
        "log": log_view.context(run, shown, first) if shown else None,
        "result_url": _result(steps),
        "done": sum(step.state == Step.State.SUCCEEDED for step in steps),
    }


def _ended(run: Run) -> dict[str, str]:
    """How it ended, where its state does not say it all: which failure was borne, what stopped it."""
    if run.ended_at is None or not run.reason:
        return {}
    borne = run.state == Run.State.SUCCEEDED
    title = {
        Run.State.SUCCEEDED: "It went well, but not all of it",
        Run.State.CANCELLED: "It was stopped",
    }.get(Run.State(run.state), "It failed")
    return {"state": "warning" if borne else run.state, "title": title, "text": _sentence(run.reason)}


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _step_to_show(steps: list[Step], chosen: str) -> Step | None:
    """The chosen one, else the first that runs or failed, else the last that ended."""
    named = [step for step in steps if step.key == chosen]
    open_now = [step for step in steps if step.state in OPEN_NOW]
    open_now.sort(
        key=lambda step: bool(step.spec.get("continue_on_error"))
    )  # what stopped the run comes first
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
        "note": "verifies" if step.spec.get("phase") == "verify" else step.spec["uses"],
        "url": "",
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
        "reason": last.reason if last and last.reason else step.reason,
        "notes": way.notes(step.spec),
        "borne": step.state in {Step.State.FAILED, Step.State.TIMED_OUT}
        and step.spec.get("continue_on_error"),
        "outputs": step.outputs,
    }
